//! [`Trace`]: requests for objects in order, made by a generator or read from a file.

use std::collections::HashMap;
use std::fs;

/// One request. Keys are dense: 0 up to the number of objects.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) key: u32,
    pub(crate) bytes: u64,
}

/// Requests in order.
pub(crate) struct Trace {
    pub(crate) name: &'static str,
    pub(crate) requests: Vec<Request>,
}

impl Trace {
    /// Different objects.
    pub(crate) fn objects(&self) -> usize {
        self.requests.iter().map(|request| request.key as usize + 1).max().unwrap_or(0)
    }

    /// Bytes of all objects, each as long as when it was asked for last.
    pub(crate) fn footprint(&self) -> u64 {
        let mut sizes = vec![0; self.objects()];
        for request in &self.requests {
            sizes[request.key as usize] = request.bytes;
        }
        sizes.iter().sum()
    }

    /// Reads lines of `time,key,size`, with or without a heading.
    pub(crate) fn read(path: &str) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{path} cannot be read: {error}"))?;
        let mut keys = HashMap::new();
        let mut requests = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let mut fields = line.split(',').skip(1);
            let (Some(key), Some(size)) = (fields.next(), fields.next()) else {
                return Err(format!("{path}: line {}: not of the form time,key,size", number + 1));
            };
            let Ok(bytes) = size.trim().parse() else {
                if number == 0 {
                    continue;
                }
                return Err(format!("{path}: line {}: {size} is not a size", number + 1));
            };
            let next = u32::try_from(keys.len()).map_err(|_| format!("{path}: too many keys"))?;
            let key = *keys.entry(key.to_owned()).or_insert(next);
            requests.push(Request { key, bytes });
        }
        Ok(Self { name: "recorded", requests })
    }
}
