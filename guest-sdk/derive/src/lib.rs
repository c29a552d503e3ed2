//! Macros of `wharf-sdk`, which re-exports them: a connector depends on that crate alone.
//!
//! The text of the contract is part of this crate, so that a connector can be built wherever it stands.

use proc_macro::TokenStream;

mod attributes;
mod bindings;
mod export;
mod names;
mod parameters;

/// Makes a type that implements `Destination` the one that this component exports: `export_destination!(MyDestination);`, once, at the
/// root of the crate.
///
/// Name and version of the connector are those of the crate, without `wharf-` in front, and so are summary and author, where the
/// descriptor does not say otherwise. On other targets than WebAssembly it exports nothing, so that native tests can use several
/// connectors at once.
///
/// What is optional is named behind the type: `export_destination!(MyDestination, probe);` exports its `Probe` too, and
/// `lifecycle` its `Lifecycle`.
#[proc_macro]
pub fn export_destination(input: TokenStream) -> TokenStream {
    export::destination(input.into()).into()
}

/// Makes a type that implements `BulkDestination` the one that this component exports: `export_bulk!(MyDestination);`, once, at the root
/// of the crate. Name, version, summary and author come of the crate as with `export_destination!`.
#[proc_macro]
pub fn export_bulk(input: TokenStream) -> TokenStream {
    export::bulk(input.into()).into()
}

/// Makes a type that implements `Destination` and one that implements `BulkDestination` those that this component exports:
/// `export_mixed!(Writes, Uploads);`, once, at the root of the crate. Some actions of the descriptor are written then, others uploaded.
///
/// The first says what the connector is and checks the settings; both are opened with the same, so that they should have the same
/// `Config`. They may be one type.
#[proc_macro]
pub fn export_mixed(input: TokenStream) -> TokenStream {
    export::mixed(input.into()).into()
}

/// Makes a type that implements `Processor` the one that this component exports: `export_processor!(MyProcessor);`, once, at the root
/// of the crate. Name, version, summary and author come of the crate as with `export_destination!`, and `probe` is named in the same way.
#[proc_macro]
pub fn export_processor(input: TokenStream) -> TokenStream {
    export::processor(input.into()).into()
}

/// Derives what a connector may be given. Documented at the trait.
#[proc_macro_derive(Parameters, attributes(parameter))]
pub fn parameters(input: TokenStream) -> TokenStream {
    parameters::derive(input.into()).into()
}

/// The bindings of what every component imports, for `wharf-sdk` itself.
#[doc(hidden)]
#[proc_macro]
pub fn imports(_: TokenStream) -> TokenStream {
    bindings::imports().into()
}
