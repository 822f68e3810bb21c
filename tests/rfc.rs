//! Sites by RFC 9110, 9111, 5861, 8246, 8297 and 9213, clause by clause on the built binary. A test is named after the
//! section it shows; its rows are [`case::Case`]s.

#[path = "rfc/age.rs"]
mod age;
#[path = "rfc/authorization.rs"]
mod authorization;
#[path = "rfc/cache_control.rs"]
mod cache_control;
#[path = "rfc/case.rs"]
mod case;
#[path = "rfc/fields.rs"]
mod fields;
#[path = "rfc/framing.rs"]
mod framing;
#[path = "rfc/http2.rs"]
mod http2;
#[path = "rfc/interim.rs"]
mod interim;
#[path = "rfc/invalidation.rs"]
mod invalidation;
#[path = "rfc/post.rs"]
mod post;
#[path = "rfc/ranges.rs"]
mod ranges;
#[path = "rfc/request_directives.rs"]
mod request_directives;
#[path = "rfc/stale.rs"]
mod stale;
#[path = "rfc/storing.rs"]
mod storing;
#[path = "rfc/targeted.rs"]
mod targeted;
#[path = "rfc/unkeyed.rs"]
mod unkeyed;
#[path = "rfc/validation.rs"]
mod validation;
#[path = "rfc/vary.rs"]
mod vary;
