//! Trees of plain files that mirror URLs, `scheme/host/path`: what `export` writes and `import` reads.
//!
//! [`place`] says where a URL belongs and what has no place, [`spelling`] the URL of a file, [`writing`] puts files
//! there. Deliberately not here: what is stored, and what is done about it.

pub(super) mod place;
pub(super) mod spelling;
pub(super) mod writing;
