//! Signals of a service: TERM, INT and HUP end it, the two for users only when it is killable.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Whether SIGUSR1 and SIGUSR2 end the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Users {
    End,
    AreIgnored,
}

/// The signals that end the program.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user: [Signal; 2],
    users: Users,
}

impl Signals {
    /// From now on none of these signals kills the process. Must be called in a runtime.
    pub(super) fn listen(users: Users) -> Result<Self, String> {
        let open = || -> io::Result<Self> {
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hang_up: signal(SignalKind::hangup())?,
                user: [signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?],
                users,
            })
        };
        open().map_err(|error| format!("signals cannot be heard: {error}"))
    }

    /// Waits for one.
    pub(super) async fn end(&mut self) {
        let [one, two] = &mut self.user;
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hang_up.recv() => {}
            _ = one.recv(), if self.users == Users::End => {}
            _ = two.recv(), if self.users == Users::End => {}
        }
    }
}
