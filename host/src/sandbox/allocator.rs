//! What calls of the host took of memory, given back.
//!
//! **Threat.** The host copies what a component hands over, up to `limits.host-call-bytes` a call. The allocator of glibc learns from the
//! first large piece that is given back to keep the next one of that size for later, in a place of each thread's own: components on
//! many threads make a process some 30 MiB larger each, for good, though nothing holds on to anything. **Answer.** It is told what to
//! keep: pieces above `KEPT` go back to the system when they are freed.

/// Bytes from which on a piece is the system's and not the allocator's: twice what a batch has by default.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: i32 = 8 << 20;

/// Sets it, for the whole process and for what is allocated from now on. Where the allocator is another, it does nothing.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: both numbers are the allocator's own, and it takes its locks to set them.
        let set = unsafe { [libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT), libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * KEPT)] };
        if set != [1, 1] {
            tracing::debug!("the allocator keeps what it likes: it did not take the bounds");
        }
    }
}
