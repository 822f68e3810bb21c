//! The least that an HTTP server can do for a small hit: one thread that waits, reads, and writes an answer that was made
//! beforehand, without understanding what is asked. What it costs is what the machine costs today; no server that makes one
//! `recv` and one `send` a request can be below it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::event::epoll;

/// Connections at once.
const MOST: usize = 4096;

/// Serves until killed: an answer with a body of `length` bytes to every read that ends a head.
pub(crate) fn serve(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (Some(address), Some(length)) =
        (arguments.next(), arguments.next().and_then(|text| text.parse().ok()))
    else {
        return Err("bare takes an address and a length".to_owned());
    };
    run(&address, length).map_err(|error| format!("bare loop: {error}"))
}

fn run(address: &str, length: usize) -> std::io::Result<()> {
    let answer = answer(length);
    let listener = TcpListener::bind(address)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut events = Vec::with_capacity(MOST);
    loop {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            match usize::try_from(event.data.u64()).unwrap_or_default() {
                0 => {
                    let (stream, _) = listener.accept()?;
                    stream.set_nodelay(true)?;
                    streams.push(Some(stream));
                    let number = epoll::EventData::new_u64(streams.len() as u64);
                    epoll::add(
                        &poll,
                        streams[streams.len() - 1].as_ref().expect("just put").as_fd(),
                        number,
                        epoll::EventFlags::IN,
                    )?;
                }
                number => {
                    if let Some(stream) = &mut streams[number - 1]
                        && !exchange(stream, &answer)
                    {
                        streams[number - 1] = None;
                    }
                }
            }
        }
    }
}

/// One read, one write. `false` when the client has left.
fn exchange(stream: &mut TcpStream, answer: &[u8]) -> bool {
    let mut request = [0; 4096];
    match stream.read(&mut request) {
        Ok(0) | Err(_) => false,
        Ok(count) if request[..count].ends_with(b"\r\n\r\n") => stream.write_all(answer).is_ok(),
        Ok(_) => true,
    }
}

/// As long as an answer of ours.
fn answer(length: usize) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nx-filling: {}\r\n\r\n", "x".repeat(400));
    answer.push_str(&"y".repeat(length));
    answer.into_bytes()
}
