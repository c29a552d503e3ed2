//! Macros of `wharf-sdk`, which re-exports them: a connector depends on that crate alone.
//!
//! The text of the contract is part of this crate, so that a connector can be built wherever it stands.

use proc_macro::TokenStream;

mod bindings;
mod export;

/// Makes a type the destination that this component exports. Documented where `wharf-sdk` re-exports it.
#[proc_macro]
pub fn export_destination(input: TokenStream) -> TokenStream {
    export::destination(input.into()).into()
}

/// The bindings of what every component imports, for `wharf-sdk` itself.
#[doc(hidden)]
#[proc_macro]
pub fn imports(_: TokenStream) -> TokenStream {
    bindings::imports().into()
}
