//! `standpipe session snoop`, alias dc_snoop: forwards connections to a server and shows every frame.
//!
//! Frames are held until they are whole and then sent with one write, because the C programs misread frames that come in
//! pieces. What is no frame is told once and then forwarded as it comes. Ids and sessions are secrets: shown are their
//! lengths and, to tell ids apart, a number that means nothing outside of this run.

mod trace;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use distcache::Address;
use distcache::frame::Direction;
use distcache::net::{Connector, ListenSettings, Listener, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use self::trace::{Conversation, Output, Tracer};
use super::arguments::count;
use super::serve::runtime;
use super::signals::{Signals, Users};
use super::tls::Files;
use super::{Failed, Program, process};

const PROGRAM: Program = Program::Snoop;
/// Most bytes read at once; a frame is smaller.
const CHUNK: usize = 16 * 1024;
/// After an accept failed for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn run(arguments: &ArgMatches) -> Result<(), Failed> {
    process::harden().into_iter().for_each(|refused| PROGRAM.say(refused));
    let address = |name| arguments.get_one::<Address>(name).ok_or_else(|| format!("no {name} address"));
    let (listen, server) = (address("listen")?, address("server")?);
    let tls = Files::of(arguments, "tls-ca").client_of(server)?;
    let connector = Connector { tls, ..Connector::new(server.clone()) };
    let output = Output::new(arguments.get_flag("json"), arguments.get_flag("reveal"));
    runtime()?.block_on(async {
        let mut signals = Signals::listen(Users::End)?;
        let listener = Listener::bind(listen, &ListenSettings::default())
            .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
        PROGRAM.say(format_args!("listening on {}", listener.address()));
        tokio::select! {
            () = signals.end() => {}
            () = forward(listener, connector, count(arguments, "connections"), output) => {}
        }
        Ok::<_, String>(())
    })?;
    Ok(())
}

/// Until the one connection of an `FD:` listener is over, else for ever.
async fn forward(mut listener: Listener, connector: Connector, connections: usize, output: Output) {
    let (connector, output, room) =
        (Arc::new(connector), Arc::new(output), Arc::new(Semaphore::new(connections)));
    for number in 0_u64.. {
        let stream = match listener.next().await {
            Ok(Some(stream)) => stream,
            Ok(None) => break,
            Err(_) => {
                sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            PROGRAM.say(format_args!("{number}: refused, {connections} are open"));
            continue;
        };
        let (connector, output) = (Arc::clone(&connector), Arc::clone(&output));
        tokio::spawn(async move {
            match tunnel(stream, &connector, &Conversation::new(number, &output)).await {
                Ok(()) => PROGRAM.say(format_args!("{number}: closed")),
                Err(error) => PROGRAM.say(format_args!("{number}: {error}")),
            }
            drop(permit);
        });
    }
    // Those that are still open.
    let all = u32::try_from(connections).unwrap_or(u32::MAX);
    drop(room.acquire_many(all).await);
}

async fn tunnel(client: Stream, connector: &Connector, conversation: &Conversation<'_>) -> io::Result<()> {
    let server = connector.connect().await?;
    let (from_client, to_client) = split(client);
    let (from_server, to_server) = split(server);
    tokio::try_join!(
        pump(from_client, to_server, conversation.tracer(Direction::Request)),
        pump(from_server, to_client, conversation.tracer(Direction::Response)),
    )?;
    Ok(())
}

/// One direction, until its end, which is passed on.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut tracer: Tracer<'_>,
) -> io::Result<()> {
    loop {
        let held = tracer.held();
        held.reserve(CHUNK);
        if from.read_buf(held).await? == 0 {
            // An unfinished frame is the receiver's to judge.
            to.write_all(tracer.held()).await?;
            return to.shutdown().await;
        }
        while let Some(length) = tracer.next() {
            to.write_all(&tracer.held()[..length]).await?;
            tracer.forwarded(length);
        }
    }
}
