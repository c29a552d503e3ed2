//! The macros that make a component of a crate.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::bindings;

/// `export_destination!(MyDestination)`.
pub fn destination(input: TokenStream) -> TokenStream {
    let example = "`export_destination!` takes the type that implements `Destination`, as in `export_destination!(Discard);`";
    let destination = match exported(input, example) {
        Ok(destination) => destination,
        Err(refusal) => return refusal,
    };
    // Natively too, and where the type stands, so that the compiler points there.
    let checked = quote_spanned!(destination.span()=> const _: () = ::wharf_sdk::__private::is_destination::<#destination>(););
    let held = quote!(<Exported as ::wharf_sdk::Destination>);
    let session = quote! {
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
    };
    component(&destination, "write-destination", &held, &session, &checked)
}

/// `export_processor!(MyProcessor)`.
pub fn processor(input: TokenStream) -> TokenStream {
    let example = "`export_processor!` takes the type that implements `Processor`, as in `export_processor!(Select);`";
    let processor = match exported(input, example) {
        Ok(processor) => processor,
        Err(refusal) => return refusal,
    };
    let checked = quote_spanned!(processor.span()=> const _: () = ::wharf_sdk::__private::is_processor::<#processor>(););
    let held = quote!(<Exported as ::wharf_sdk::Processor>);
    let session = quote! {
        use exports::wharf::connector::processor;

        struct Session(sdk::ProcessorSession<Exported>);

        impl processor::Guest for Component {
            type Session = Session;
        }

        impl processor::GuestSession for Session {
            fn open(settings: types::Settings) -> ::std::result::Result<processor::Session, types::Failure> {
                sdk::ProcessorSession::open(settings).map(|session| processor::Session::new(Self(session)))
            }

            fn process(&self, batch: types::Batch) -> ::std::result::Result<processor::Processed, types::Failure> {
                let sdk::Parts {
                    count, parents, after, before, key, operations, content_type, metadata, filtered, verdicts,
                } = self.0.process(batch)?;
                let change = |change| match change {
                    sdk::Change::Keep => processor::Change::Keep,
                    sdk::Change::Clear => processor::Change::Clear,
                    sdk::Change::Set(column) => processor::Change::Set(column),
                };
                ::std::result::Result::Ok(processor::Processed {
                    count,
                    parents,
                    after: change(after),
                    before: change(before),
                    key: change(key),
                    operations,
                    content_type,
                    metadata: metadata.into_iter().map(|(name, to)| (name, change(to))).collect(),
                    filtered,
                    verdicts,
                })
            }

            fn close(&self) -> ::std::result::Result<(), types::Failure> {
                self.0.close()
            }
        }
    };
    component(&processor, "record-processor", &held, &session, &checked)
}

fn exported(input: TokenStream, example: &str) -> Result<syn::Type, TokenStream> {
    syn::parse2(input).map_err(|error| syn::Error::new(error.span(), example).to_compile_error())
}

/// A component of `world`: what every connector exports, of `exported` seen as `held`, and its `session`.
fn component(exported: &syn::Type, world: &str, held: &TokenStream, session: &TokenStream, checked: &TokenStream) -> TokenStream {
    let bindings = bindings::exports(world);
    quote! {
        #[doc(hidden)]
        #[allow(missing_docs, clippy::all)]
        mod __wharf_component {
            #[allow(dead_code, reason = "natively nothing is exported")]
            type Exported = super::__WharfExported;

            // Only a component exports it: two connectors would otherwise clash in one native program.
            #[cfg(target_arch = "wasm32")]
            mod component {
                #bindings

                use ::wharf_sdk::__private::{self as sdk, bindings::wharf::connector::types};
                use super::Exported;

                struct Component;

                impl exports::wharf::connector::connector::Guest for Component {
                    fn describe() -> ::std::string::String {
                        sdk::describe::<#held::Config>(#held::describe, &sdk::Package {
                            name: ::std::env!("CARGO_PKG_NAME"),
                            version: ::std::env!("CARGO_PKG_VERSION"),
                            description: ::std::env!("CARGO_PKG_DESCRIPTION"),
                            authors: ::std::env!("CARGO_PKG_AUTHORS"),
                        })
                    }

                    fn check(settings: types::Settings) -> ::std::vec::Vec<exports::wharf::connector::connector::Problem> {
                        let problems = sdk::check::<#held::Config>(#held::check, settings).into_iter();
                        let problem = |sdk::Problem { parameter, message }| exports::wharf::connector::connector::Problem { parameter, message };
                        problems.map(problem).collect()
                    }
                }

                #session

                export!(Component);
            }
        }

        #[doc(hidden)]
        type __WharfExported = #exported;

        #checked
    }
}
