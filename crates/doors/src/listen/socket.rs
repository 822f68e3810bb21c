//! [`bind`]: a listening socket as we want it.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::Listener;

/// Connections that may wait for an accept; the kernel may allow fewer (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// Binds and listens; port 0 takes a free one. Must be called within a tokio runtime. Errors are the system's: address
/// in use, not ours, not permitted.
pub fn bind(address: SocketAddr) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old connections' last packets.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` means every address, the old ones too, whatever the system's default.
        socket.set_only_v6(false)?;
    }
    // Accepted connections inherit it (Linux), so it costs no call on each.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(Listener::new(TcpListener::from_std(socket.into())?))
}
