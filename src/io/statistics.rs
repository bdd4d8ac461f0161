//! What the drivers can tell of a connection.

use std::time::Duration;

use crate::counts::Counts;

/// What a connection has carried, and how it is doing, where [`Config::statistics`](crate::Config::statistics) asks for
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// What was received. What a read has brought counts as soon as it was looked at, which is when the next message is
    /// asked for.
    pub received: Counts,
    /// What was sent, or waits to leave. Once nothing is [`queued`](Self::queued), the kernel has all of it.
    pub sent: Counts,
    /// The time between the latest answered keepalive ping and its pong.
    pub round_trip: Option<Duration>,
    /// How many bytes wait to leave.
    pub queued: usize,
}
