//! Random bytes from a cryptographically strong generator that the operating system seeds, one for each thread.

use core::cell::RefCell;

use rand::Rng;

/// New bytes. A forked process draws others than its parent (RFC 6455 §10.3: a key must not be known to others).
pub(crate) fn random<const N: usize>() -> [u8; N] {
    seed_after_fork();
    draw()
}

/// A new masking key, of a batch that was drawn together: asking the generator costs more than a short message.
#[inline]
pub(crate) fn key() -> [u8; 4] {
    seed_after_fork();
    let key = BATCH.try_with(|batch| batch.borrow_mut().next());
    key.unwrap_or_else(|_| draw())
}

struct Batch {
    keys: [[u8; 4]; 64],
    left: usize,
}

impl Batch {
    #[inline]
    fn next(&mut self) -> [u8; 4] {
        if self.left == 0 {
            self.keys.as_flattened_mut().copy_from_slice(&draw::<256>());
            self.left = self.keys.len();
        }
        self.left -= 1;
        self.keys.get(self.left).copied().unwrap_or_else(draw)
    }
}

std::thread_local! {
    static BATCH: RefCell<Batch> = const { RefCell::new(Batch { keys: [[0; 4]; 64], left: 0 }) };
}

fn draw<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// A copied generator is seeded anew, and copied keys are dropped.
#[inline]
fn seed_after_fork() {
    if fork::is_new() {
        let _ = BATCH.try_with(|batch| batch.borrow_mut().left = 0);
        #[expect(clippy::expect_used, reason = "keys that can be foreseen would be worse than none")]
        rand::rng().reseed().expect("the operating system gives random bytes");
    }
}

/// The generator of a thread is copied by `fork`, so each process must seed its own.
#[cfg(all(unix, not(any(target_os = "espidf", target_os = "horizon", target_os = "vita"))))]
mod fork {
    use core::cell::Cell;
    use core::ffi::c_int;
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Once;

    /// How often this process, or one it descends from, was the child of a fork.
    static FORKS: AtomicUsize = AtomicUsize::new(0);

    std::thread_local! {
        /// The same when this thread's generator was seeded; beyond all counts before.
        static SEEDED: Cell<usize> = const { Cell::new(usize::MAX) };
    }

    /// Whether this is the first call in this thread of this process.
    #[inline]
    pub(super) fn is_new() -> bool {
        static REGISTERED: Once = Once::new();
        REGISTERED.call_once(|| {
            #[allow(unsafe_code)]
            // SAFETY: the handler does nothing but count, which is allowed at any time.
            let _ = unsafe { pthread_atfork(None, None, Some(count)) };
        });
        let forks = FORKS.load(Ordering::Relaxed);
        SEEDED.try_with(|seeded| seeded.replace(forks) != forks).unwrap_or(true)
    }

    extern "C" fn count() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    type Handler = Option<extern "C" fn()>;

    #[allow(unsafe_code)]
    unsafe extern "C" {
        fn pthread_atfork(prepare: Handler, parent: Handler, child: Handler) -> c_int;
    }
}

/// These systems have no `fork`.
#[cfg(not(all(unix, not(any(target_os = "espidf", target_os = "horizon", target_os = "vita")))))]
mod fork {
    pub(super) fn is_new() -> bool {
        false
    }
}
