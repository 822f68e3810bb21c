//! The list of pins: durable, bounded, and gone at its time. What a pin covers is shown in `pins::matcher`.

use super::*;
use crate::{PinError, PinRequest, Subject};

fn wanted(subject: Subject, ttl: Duration) -> PinRequest {
    PinRequest { subject, ttl, name: Some("release 5".to_owned()) }
}

fn tag() -> Subject {
    Subject::tag("v5").expect("a tag")
}

#[tokio::test]
async fn a_pin_names_the_canonical_url_and_ends_at_its_time() {
    let bed = Bed::new();
    let subject = Subject::url("HTTP://User:Secret@Origin.Example:80/a/../file?token=abc#x").expect("a URL");
    let pin = bed.cache.pin(wanted(subject, 60 * SECOND)).await.expect("pinned");
    let name = get_url("http://origin.example/file?token=abc").target.name.to_string();
    assert_eq!(pin.subject, Subject::Url(name));
    assert_eq!((pin.created, pin.until), (1_700_000_000, 1_700_000_060));
    assert_eq!(bed.cache.pins(), [pin]);
    assert_eq!(bed.metric("standpipe_pins"), 1);

    bed.advance(59 * SECOND);
    assert_eq!(bed.cache.pins().len(), 1);
    bed.advance(SECOND);
    assert_eq!(bed.cache.pins(), []);
    bed.cache.expire_pins().await;
    assert_eq!(bed.metric("standpipe_pins"), 0);
}

#[tokio::test]
async fn a_pin_is_taken_away_once() {
    let bed = Bed::new();
    let first = bed.cache.pin(wanted(tag(), DAY)).await.expect("pinned");
    let second = bed.cache.pin(wanted(tag(), DAY)).await.expect("the same again is another promise");
    assert_ne!(first.id, second.id);
    assert_eq!(bed.cache.unpin(&first.id).await, Ok(Some(first.clone())));
    assert_eq!(bed.cache.unpin(&first.id).await, Ok(None));
    assert_eq!(bed.cache.pins(), [second]);
}

#[tokio::test]
async fn there_are_only_so_many_and_those_past_their_time_do_not_count() {
    let bed = Bed::with(Settings { max_pins: 2, ..Settings::default() });
    bed.cache.pin(wanted(tag(), SECOND)).await.expect("pinned");
    bed.cache.pin(wanted(tag(), DAY)).await.expect("pinned");
    assert_eq!(bed.cache.pin(wanted(tag(), DAY)).await, Err(PinError::Full { most: 2 }));
    bed.advance(SECOND);
    bed.cache.pin(wanted(tag(), DAY)).await.expect("pinned");
    assert_eq!(bed.cache.pins().len(), 2);
}

#[tokio::test]
async fn nonsense_is_refused() {
    let is_invalid = |subject: Result<Subject, PinError>| matches!(subject, Err(PinError::Invalid(_)));
    let long = format!("http://h/{}", "a".repeat(3000));
    for url in ["", "h", "ftp://h/", "http://", &long] {
        assert!(is_invalid(Subject::url(url)) && is_invalid(Subject::prefix(url)), "{url}");
    }
    let long = "a".repeat(257);
    for tag in ["", "a b", "a,b", "\u{e9}", &long] {
        assert!(is_invalid(Subject::tag(tag)), "{tag}");
    }
    let bed = Bed::new();
    for name in ["a\nb", &long] {
        let request = PinRequest { name: Some(name.to_owned()), ..wanted(tag(), DAY) };
        assert!(matches!(bed.cache.pin(request).await, Err(PinError::Invalid(_))));
    }
    assert_eq!(bed.cache.pins(), []);
}

#[tokio::test]
async fn pins_are_taken_up_again() {
    let bed = Bed::new();
    let pins = [
        bed.cache.pin(wanted(Subject::prefix("http://h/a").expect("a prefix"), DAY)).await.expect("pinned"),
        bed.cache.pin(PinRequest { name: None, ..wanted(tag(), DAY) }).await.expect("pinned"),
    ];
    bed.cache.install_pins(Vec::new());
    assert_eq!(bed.cache.pins(), []);
    bed.cache.restore_pins().await;
    assert_eq!(bed.cache.pins(), pins);
}

#[tokio::test]
async fn a_list_that_makes_no_sense_is_no_list() {
    let bed = Bed::new();
    for bytes in [&b"{"[..], b"{\"version\":2,\"pins\":[]}", b"[]", b""] {
        bed.cache.inner.store.keep("pins", bytes.to_vec()).await.expect("kept");
        bed.cache.restore_pins().await;
        assert_eq!(bed.cache.pins(), []);
    }
    bed.cache.pin(wanted(tag(), DAY)).await.expect("and can be begun anew");
}

#[test]
fn the_form_of_the_list_stays() {
    let text = r#"{"id":"0f","tag":"v5","name":"n","created":1,"until":2}"#;
    let pin: crate::Pin = serde_json::from_str(text).expect("a pin");
    assert_eq!(pin.subject, tag());
    assert_eq!(serde_json::to_string(&pin).expect("text"), text);
}
