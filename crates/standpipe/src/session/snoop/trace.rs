//! Frames to lines: what is decoded, and what of it may be shown.

use std::collections::HashMap;
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use distcache::frame::{Direction, Header, Place};
use distcache::limits::{FRAME_DATA, HEADER, PAYLOAD};
use distcache::message::Message;
use distcache::request::{Checked, Request};
use distcache::{Malformed, Operation, Session, Status};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::{CHUNK, PROGRAM};
use crate::session::print_json;

/// Requests of one connection whose answers are timed at once.
const TIMED: usize = 1024;

/// How and what is shown.
pub(super) struct Output {
    form: Form,
    secrets: Secrets,
    /// Turns ids into numbers that mean nothing elsewhere.
    ids: RandomState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Line,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    Masked,
    Shown,
}

/// One connection and its two directions.
pub(super) struct Conversation<'a> {
    number: u64,
    output: &'a Output,
    /// When requests passed, by uid.
    asked: Mutex<HashMap<u32, Instant>>,
}

/// One direction of a connection. Owns what has come and was not forwarded yet.
pub(super) struct Tracer<'a> {
    conversation: &'a Conversation<'a>,
    direction: Direction,
    held: Session,
    /// Of the message that is under way.
    payload: Session,
    /// Nothing is decoded any more.
    is_lost: bool,
}

impl Output {
    pub(super) fn new(json: bool, reveal: bool) -> Self {
        Self {
            form: if json { Form::Json } else { Form::Line },
            secrets: if reveal { Secrets::Shown } else { Secrets::Masked },
            ids: RandomState::new(),
        }
    }
}

impl<'a> Conversation<'a> {
    pub(super) fn new(number: u64, output: &'a Output) -> Self {
        Self { number, output, asked: Mutex::default() }
    }

    pub(super) fn tracer(&'a self, direction: Direction) -> Tracer<'a> {
        Tracer {
            conversation: self,
            direction,
            // With room for all it can ever hold: one frame's beginning, and what one read brings.
            held: Session::new(Vec::with_capacity(HEADER + FRAME_DATA + CHUNK)),
            payload: Session::default(),
            is_lost: false,
        }
    }

    /// Notes a request, or says how long ago that of an answer was.
    fn time(&self, header: &Header) -> Option<Duration> {
        let mut asked = self.asked.lock();
        if header.direction == Direction::Response {
            return asked.remove(&header.uid).map(|at| at.elapsed());
        }
        if asked.len() < TIMED {
            asked.insert(header.uid, Instant::now());
        }
        None
    }
}

impl Tracer<'_> {
    /// What has come; more may be appended.
    pub(super) fn held(&mut self) -> &mut Vec<u8> {
        &mut self.held
    }

    /// How many bytes can be forwarded now: a frame, shown. Without frames: all.
    pub(super) fn next(&mut self) -> Option<usize> {
        if self.is_lost {
            return Some(self.held.len()).filter(|length| *length > 0);
        }
        match self.frame() {
            Ok(length) => length,
            Err(malformed) => {
                self.is_lost = true;
                let number = self.conversation.number;
                PROGRAM.say(format_args!("{number}: {malformed}; forwarded without a look from here on"));
                self.next()
            }
        }
    }

    /// These have been sent.
    pub(super) fn forwarded(&mut self, length: usize) {
        self.held.drain(..length);
    }

    fn frame(&mut self) -> Result<Option<usize>, Malformed> {
        let Some(header) = Header::decode(&self.held)? else { return Ok(None) };
        if header.direction != self.direction {
            return Err(Malformed::Direction);
        }
        let length = HEADER + usize::from(header.length);
        let Some(data) = self.held.get(HEADER..length) else { return Ok(None) };
        if self.payload.len() + data.len() > PAYLOAD {
            return Err(Malformed::Payload);
        }
        if self.payload.is_empty() {
            // It never moves, so that nothing unwiped stays behind.
            self.payload.reserve_exact(if header.place == Place::Last { data.len() } else { PAYLOAD });
        }
        self.payload.extend_from_slice(data);
        let mut line = Line::new(self.conversation, &header, length);
        if header.place == Place::Last {
            line.elapsed = self.conversation.time(&header);
            let message = Message { uid: header.uid, operation: header.operation, payload: &self.payload };
            match self.direction {
                Direction::Request => line.request(&message),
                Direction::Response => line.response(&message),
            }
            self.payload = Session::default();
        }
        line.print();
        Ok(Some(length))
    }
}

/// What is shown of one frame: facts by name, in their order.
struct Line<'a> {
    output: &'a Output,
    number: u64,
    header: Header,
    length: usize,
    facts: Vec<(&'static str, Value)>,
    elapsed: Option<Duration>,
}

impl<'a> Line<'a> {
    fn new(conversation: &Conversation<'a>, header: &Header, length: usize) -> Self {
        let Conversation { number, output, .. } = *conversation;
        Self { output, number, header: *header, length, facts: Vec::new(), elapsed: None }
    }

    fn fact(&mut self, name: &'static str, value: impl Into<Value>) {
        self.facts.push((name, value.into()));
    }

    fn request(&mut self, message: &Message<'_>) {
        match Checked::decode(message) {
            Ok(Checked::Valid(Request::Add { id, session, timeout_ms })) => {
                self.id(id);
                self.session(session);
                self.fact("timeout_ms", timeout_ms);
            }
            Ok(Checked::Valid(Request::Get(id) | Request::Remove(id) | Request::Have(id))) => self.id(id),
            Ok(Checked::Refused(status)) => self.fact("to_be_refused", status as u8),
            Err(malformed) => self.fact("malformed", malformed.name()),
        }
    }

    fn response(&mut self, message: &Message<'_>) {
        match (message.operation, message.payload) {
            (_, []) => self.fact("status", Value::Null),
            (_, [byte]) => {
                self.fact("status", *byte);
                self.fact("meaning", Status::from_byte(*byte).map_or("unknown", meaning));
            }
            (Operation::Get, session) => self.session(session),
            (_, payload) => self.fact("payload_bytes", payload.len()),
        }
    }

    fn id(&mut self, id: &[u8]) {
        self.fact("id_bytes", id.len());
        self.fact("id_number", format!("{:016x}", self.output.ids.hash_one(id)));
        if self.output.secrets == Secrets::Shown {
            self.fact("id", hex(id));
        }
    }

    fn session(&mut self, session: &[u8]) {
        self.fact("session_bytes", session.len());
        if self.output.secrets == Secrets::Shown {
            self.fact("session", hex(session));
        }
    }

    fn print(&self) {
        match self.output.form {
            Form::Line => PROGRAM.say(self.text()),
            Form::Json => print_json(&self.json()),
        }
    }

    fn text(&self) -> String {
        let Header { direction, uid, operation, place, .. } = self.header;
        let arrow = if direction == Direction::Request { '>' } else { '<' };
        let (number, length, name) = (self.number, self.length, operation.name());
        let mut text = format!("{number} {arrow} uid {uid}, {length} bytes: {name}");
        if place == Place::Inner {
            text.push_str(", to be continued");
        }
        for (name, value) in &self.facts {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            // Writing to a string does not fail.
            let _ = write!(text, ", {name} {value}");
        }
        if let Some(elapsed) = self.elapsed {
            let _ = write!(text, ", after {:.3} ms", elapsed.as_secs_f64() * 1000.0);
        }
        text
    }

    fn json(&self) -> Value {
        let Header { direction, uid, operation, place, .. } = self.header;
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("connection", json!(self.number));
        put("direction", json!(if direction == Direction::Request { "request" } else { "response" }));
        put("uid", json!(uid));
        put("frame_bytes", json!(self.length));
        put("complete", json!(place == Place::Last));
        put("operation", json!(operation.name()));
        for (name, value) in &self.facts {
            put(name, value.clone());
        }
        if let Some(elapsed) = self.elapsed {
            put("elapsed_us", json!(elapsed.as_secs_f64() * 1_000_000.0));
        }
        Value::Object(object)
    }
}

/// A status in a word.
fn meaning(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Absent => "absent",
        Status::Disconnected => "disconnected",
        Status::BadPayload => "bad payload",
        Status::Duplicate => "duplicate",
        Status::BadTimeout => "bad timeout",
        Status::BadId => "bad id",
        Status::BadSession => "bad session",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &[u8] = b"ABCDEFGH";
    const SESSION: &[u8] = b"session-data";

    fn request(bytes: &[u8], output: &Output) -> Vec<usize> {
        let conversation = Conversation::new(0, output);
        let mut tracer = conversation.tracer(Direction::Request);
        let mut lengths = Vec::new();
        for byte in bytes {
            tracer.held().push(*byte);
            while let Some(length) = tracer.next() {
                lengths.push(length);
                tracer.forwarded(length);
            }
        }
        assert!(tracer.is_lost || tracer.held.is_empty());
        lengths
    }

    fn add() -> Vec<u8> {
        let mut bytes = Vec::new();
        Request::Add { id: ID, session: SESSION, timeout_ms: 60_000 }.encode(1, &mut bytes).expect("fits");
        bytes
    }

    fn line<'a>(output: &'a Output, bytes: &[u8]) -> Line<'a> {
        let header = Header::decode(bytes).expect("fine").expect("whole");
        let conversation = Conversation::new(7, output);
        let mut line = Line::new(&conversation, &header, bytes.len());
        let payload = &bytes[HEADER..];
        let message = Message { uid: header.uid, operation: header.operation, payload };
        match header.direction {
            Direction::Request => line.request(&message),
            Direction::Response => line.response(&message),
        }
        line
    }

    #[test]
    fn secrets_are_masked_unless_they_are_asked_for() {
        let masked = Output::new(true, false);
        let shown = line(&masked, &add());
        let (text, json) = (shown.text(), shown.json());
        assert!(text.starts_with("7 > uid 1, 42 bytes: add, id_bytes 8, "), "{text}");
        assert!(text.ends_with("session_bytes 12, timeout_ms 60000"), "{text}");
        assert_eq!((&json["timeout_ms"], &json["complete"]), (&json!(60_000), &json!(true)));
        for secret in [hex(ID), hex(SESSION), "ABCD".to_owned(), "session-data".to_owned()] {
            assert!(!text.contains(&secret) && !json.to_string().contains(&secret), "{text}");
        }
        let open = Output::new(true, true);
        let json = line(&open, &add()).json();
        assert_eq!((&json["id"], &json["session"]), (&json!(hex(ID)), &json!(hex(SESSION))));
    }

    #[test]
    fn equal_ids_have_equal_numbers() {
        let output = Output::new(true, false);
        let number = |id| {
            let mut bytes = Vec::new();
            Request::Have(id).encode(1, &mut bytes).expect("fits");
            line(&output, &bytes).json()["id_number"].clone()
        };
        assert_eq!(number(ID), number(ID));
        assert_ne!(number(ID), number(b"other"));
    }

    #[test]
    fn frames_are_forwarded_whole_and_other_bytes_as_they_come() {
        let output = Output::new(false, false);
        assert_eq!(request(&add(), &output), [42]);
        let mut bytes = add();
        bytes.extend_from_slice(b"GET / HTTP/1.1");
        let lengths = request(&bytes, &output);
        assert_eq!(lengths.iter().sum::<usize>(), bytes.len());
        assert_eq!(lengths[..2], [42, 5]);
    }

    #[test]
    fn answers_say_what_they_mean() {
        let output = Output::new(true, false);
        let answer = |operation, payload: &[u8]| {
            let mut bytes = Vec::new();
            distcache::message::encode(&mut bytes, Direction::Response, 1, operation, &[payload])
                .expect("fits");
            line(&output, &bytes).json()
        };
        assert_eq!(answer(Operation::Add, &[101])["meaning"], json!("duplicate"));
        assert_eq!(answer(Operation::Have, &[9])["meaning"], json!("unknown"));
        assert_eq!(answer(Operation::Get, SESSION)["session_bytes"], json!(12));
        assert_eq!(answer(Operation::Get, &[])["status"], Value::Null);
    }
}
