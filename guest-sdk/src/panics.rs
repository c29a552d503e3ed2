//! What a panic leaves behind.
//!
//! A component is built to abort, so a panic is a trap, and a trap says nothing but where. The message goes to stderr before, on one
//! line, from where the host takes it into its error.

/// Sees to it, once.
#[cfg(target_arch = "wasm32")]
pub(crate) fn install() {
    static INSTALLED: std::sync::Once = std::sync::Once::new();
    INSTALLED.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let message = info.payload_as_str().unwrap_or("with something that is no text");
            match info.location() {
                Some(place) => eprintln!("panicked at {place}: {message}"),
                None => eprintln!("panicked: {message}"),
            }
        }));
    });
}
