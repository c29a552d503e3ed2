//! The macros that make a component of a crate.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::bindings;

/// `export_destination!(MyDestination)`.
pub fn destination(input: TokenStream) -> TokenStream {
    let destination: syn::Type = match syn::parse2(input) {
        Ok(destination) => destination,
        Err(error) => {
            let message =
                "`export_destination!` takes the type that implements `Destination`, as in `export_destination!(Discard);`";
            return syn::Error::new(error.span(), message).to_compile_error();
        }
    };
    let bindings = bindings::exports("write-destination");
    // Natively too, and where the type stands, so that the compiler points there.
    let checked = quote_spanned!(destination.span()=> const _: () = ::wharf_sdk::__private::is_destination::<#destination>(););
    quote! {
        #[doc(hidden)]
        #[allow(missing_docs, clippy::all)]
        mod __wharf_component {
            #[allow(dead_code, reason = "natively nothing is exported")]
            type Exported = super::__WharfDestination;

            // Only a component exports it: two connectors would otherwise clash in one native program.
            #[cfg(target_arch = "wasm32")]
            mod component {
                #bindings

                use ::wharf_sdk::__private::{self as sdk, bindings::wharf::connector::types};
                use super::Exported;

                struct Component;

                impl exports::wharf::connector::connector::Guest for Component {
                    fn describe() -> ::std::string::String {
                        sdk::describe::<Exported>(&sdk::Package {
                            name: ::std::env!("CARGO_PKG_NAME"),
                            version: ::std::env!("CARGO_PKG_VERSION"),
                            description: ::std::env!("CARGO_PKG_DESCRIPTION"),
                            authors: ::std::env!("CARGO_PKG_AUTHORS"),
                        })
                    }

                    fn check(settings: types::Settings) -> ::std::vec::Vec<exports::wharf::connector::connector::Problem> {
                        let problems = sdk::check::<Exported>(settings).into_iter();
                        let problem = |sdk::Problem { parameter, message }| exports::wharf::connector::connector::Problem { parameter, message };
                        problems.map(problem).collect()
                    }
                }

                struct Session(sdk::Session<Exported>);

                impl exports::wharf::connector::destination::Guest for Component {
                    type Session = Session;
                }

                impl exports::wharf::connector::destination::GuestSession for Session {
                    fn open(
                        settings: types::Settings,
                    ) -> ::std::result::Result<exports::wharf::connector::destination::Session, types::Failure> {
                        sdk::Session::open(settings).map(|session| exports::wharf::connector::destination::Session::new(Self(session)))
                    }

                    fn write(&self, batch: types::Batch) -> ::std::result::Result<types::Receipt, types::Failure> {
                        self.0.write(batch)
                    }

                    fn ack(&self, batches: ::std::vec::Vec<::std::string::String>) {
                        self.0.ack(&batches);
                    }

                    fn close(&self) -> ::std::result::Result<(), types::Failure> {
                        self.0.close()
                    }
                }

                export!(Component);
            }
        }

        #[doc(hidden)]
        type __WharfDestination = #destination;

        #checked
    }
}
