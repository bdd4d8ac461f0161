//! What a connection counts, where it was asked to.

/// What one direction of a connection has carried since it was opened, see [`Config::statistics`].
///
/// What one end has sent is what the other has received, number by number, once all of it has arrived. Bytes that come
/// behind Close, or in the step that fails, count for nothing.
///
/// [`Config::statistics`]: crate::Config::statistics
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Messages that were received, or queued, to their end.
    pub messages: u64,
    /// Those of them that travel compressed.
    pub compressed_messages: u64,
    /// Frames of any kind: those of messages, pings, pongs and Close.
    pub frames: u64,
    /// Bytes of messages, finished or not, as the application sees them: not compressed. Those of pings, pongs and Close
    /// are not among them.
    pub payload_bytes: u64,
    /// Bytes of frames as they travel: all there are but those of the opening handshake. Of a sender, those that wait
    /// to leave are among them.
    pub wire_bytes: u64,
}

impl Counts {
    /// One frame of a message.
    #[inline]
    pub(crate) fn add(&mut self, payload: usize, last: bool, compressed: bool) {
        self.frames += 1;
        self.payload_bytes += payload as u64;
        if last {
            self.finish_message(compressed);
        }
    }

    #[inline]
    pub(crate) fn finish_message(&mut self, compressed: bool) {
        self.messages += 1;
        self.compressed_messages += u64::from(compressed);
    }
}
