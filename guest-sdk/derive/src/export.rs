//! The macros that make a component of a crate.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    parse::{ParseStream, Parser as _},
    spanned::Spanned,
};

use crate::bindings;

/// `export_destination!(MyDestination)`.
pub fn destination(input: TokenStream) -> TokenStream {
    let example = "`export_destination!` takes the type that implements `Destination`, as in `export_destination!(Discard);`";
    let given = match Given::parse(input, 1, example) {
        Ok(given) => given,
        Err(refusal) => return refusal,
    };
    let destination = &given.types[0];
    // Natively too, and where the type stands, so that the compiler points there.
    let checked = quote_spanned!(destination.span()=> const _: () = ::wharf_sdk::__private::is_destination::<#destination>(););
    let held = quote!(::wharf_sdk::Destination);
    component(&given, &[], "write-destination", &held, &write_session(), &checked)
}

/// `export_bulk!(MyDestination)`.
pub fn bulk(input: TokenStream) -> TokenStream {
    let example = "`export_bulk!` takes the type that implements `BulkDestination`, as in `export_bulk!(Leads);`";
    let given = match Given::parse(input, 1, example) {
        Ok(given) => given,
        Err(refusal) => return refusal,
    };
    let bulk = &given.types[0];
    let checked = quote_spanned!(bulk.span()=> const _: () = ::wharf_sdk::__private::is_bulk::<#bulk>(););
    let held = quote!(::wharf_sdk::BulkDestination);
    component(&given, &[], "bulk-destination", &held, &bulk_session(&quote!(Exported)), &checked)
}

/// `export_mixed!(Writes, Uploads)`.
pub fn mixed(input: TokenStream) -> TokenStream {
    let example = "`export_mixed!` takes the type that implements `Destination` and the one that implements `BulkDestination`, as in \
                   `export_mixed!(Writes, Uploads);`";
    let given = match Given::parse(input, 2, example) {
        Ok(given) => given,
        Err(refusal) => return refusal,
    };
    let (writes, uploads) = (&given.types[0], &given.types[1]);
    let checked = [
        quote_spanned!(writes.span()=> const _: () = ::wharf_sdk::__private::is_destination::<#writes>();),
        quote_spanned!(uploads.span()=> const _: () = ::wharf_sdk::__private::is_bulk::<#uploads>();),
    ];
    let held = quote!(::wharf_sdk::Destination);
    let (write, bulk) = (write_session(), bulk_session(&quote!(ExportedBulk)));
    // Each has a module of its own: both name their session so.
    let session = quote! {
        mod writes {
            use super::{super::Exported, Component, exports, sdk, types};
            #write
        }

        mod uploads {
            use super::{super::ExportedBulk, Component, exports, sdk, types};
            #bulk
        }
    };
    component(&given, &[("ExportedBulk", uploads)], "mixed-destination", &held, &session, &quote!(#(#checked)*))
}

fn write_session() -> TokenStream {
    quote! {
        pub(super) struct Session(sdk::Session<Exported>);

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
    }
}

fn bulk_session(exported: &TokenStream) -> TokenStream {
    quote! {
        use exports::wharf::connector::bulk;

        pub(super) struct Session(sdk::BulkSession<#exported>);

        fn uploaded(parts: sdk::UploadedParts) -> bulk::Uploaded {
            let sdk::UploadedParts { settled, working, handle } = parts;
            bulk::Uploaded { settled, working, handle }
        }

        fn request(request: bulk::UploadRequest) -> sdk::Request {
            let bulk::UploadRequest { intent, action, records, bytes, attempt } = request;
            sdk::Request { intent, action, records, bytes, attempt }
        }

        impl bulk::Guest for Component {
            type Session = Session;
        }

        impl bulk::GuestSession for Session {
            fn open(settings: types::Settings) -> ::std::result::Result<bulk::Session, types::Failure> {
                sdk::BulkSession::open(settings).map(|session| bulk::Session::new(Self(session)))
            }

            fn transform(&self, batch: types::Batch) -> ::std::result::Result<bulk::Transformed, types::Failure> {
                self.0.transform(batch).map(|(lines, verdicts)| bulk::Transformed { lines, verdicts })
            }

            fn upload(&self, given: bulk::UploadRequest) -> ::std::result::Result<bulk::Uploaded, types::Failure> {
                self.0.upload(request(given)).map(uploaded)
            }

            fn poll(&self, handle: bulk::Handle) -> ::std::result::Result<bulk::UploadStatus, types::Failure> {
                self.0.poll(&handle).map(|status| match status {
                    sdk::StatusParts::Working { done, again_in_ms, handle } => {
                        bulk::UploadStatus::Working(bulk::Waiting { done, again_in_ms, handle })
                    }
                    sdk::StatusParts::Delivered => bulk::UploadStatus::Delivered,
                    sdk::StatusParts::Settled(receipt) => bulk::UploadStatus::Settled(receipt),
                    sdk::StatusParts::AskStats(handle) => bulk::UploadStatus::AskStats(handle),
                    sdk::StatusParts::Failed(failure) => bulk::UploadStatus::Failed(failure),
                })
            }

            fn stats(&self, handle: bulk::Handle) -> ::std::result::Result<types::Receipt, types::Failure> {
                self.0.stats(&handle)
            }

            fn reconcile(&self, given: bulk::UploadRequest) -> ::std::result::Result<bulk::Found, types::Failure> {
                self.0.reconcile(request(given)).map(|found| match found {
                    sdk::FoundParts::Absent => bulk::Found::Absent,
                    sdk::FoundParts::Present(parts) => bulk::Found::Present(uploaded(parts)),
                    sdk::FoundParts::CannotTell => bulk::Found::CannotTell,
                })
            }

            fn release(&self, handle: bulk::Handle) {
                self.0.release(&handle);
            }

            fn close(&self) -> ::std::result::Result<(), types::Failure> {
                self.0.close()
            }
        }
    }
}

/// `export_processor!(MyProcessor)`.
pub fn processor(input: TokenStream) -> TokenStream {
    let example = "`export_processor!` takes the type that implements `Processor`, as in `export_processor!(Select);`";
    let given = match Given::parse(input, 1, example) {
        Ok(given) => given,
        Err(refusal) => return refusal,
    };
    let processor = &given.types[0];
    let checked = quote_spanned!(processor.span()=> const _: () = ::wharf_sdk::__private::is_processor::<#processor>(););
    let held = quote!(::wharf_sdk::Processor);
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
    component(&given, &[], "record-processor", &held, &session, &checked)
}

/// What a macro is given: so many types, and behind them the name of what is optional and exported too.
struct Given {
    types: Vec<syn::Type>,
    probe: Option<syn::Ident>,
    lifecycle: Option<syn::Ident>,
}

impl Given {
    fn parse(input: TokenStream, types: usize, example: &str) -> Result<Self, TokenStream> {
        let parse = |input: ParseStream<'_>| {
            let mut given = Self { types: vec![input.parse()?], probe: None, lifecycle: None };
            while !input.is_empty() {
                input.parse::<syn::Token![,]>()?;
                match given.types.len() {
                    _ if input.is_empty() => break,
                    so_many if so_many < types => given.types.push(input.parse()?),
                    _ => {
                        let optional: syn::Ident = input.parse()?;
                        let known = match () {
                            () if optional == "probe" => &mut given.probe,
                            () if optional == "lifecycle" => &mut given.lifecycle,
                            () => return Err(syn::Error::new(optional.span(), "")),
                        };
                        if known.is_some() {
                            return Err(syn::Error::new(optional.span(), ""));
                        }
                        *known = Some(optional);
                    }
                }
            }
            if given.types.len() == types { Ok(given) } else { Err(input.error("")) }
        };
        parse.parse2(input).map_err(|error| {
            let example = format!(
                "{example} `probe` may stand behind it, where it implements `Probe` too, and `lifecycle`, where `Lifecycle`."
            );
            syn::Error::new(error.span(), example).to_compile_error()
        })
    }
}

/// A component of `world`: what every connector exports, of the first type as it implements the trait `held`, and its `session`, which may
/// name further types.
fn component(
    Given { types, probe, lifecycle }: &Given,
    further: &[(&str, &syn::Type)],
    world: &str,
    held: &TokenStream,
    session: &TokenStream,
    checked: &TokenStream,
) -> TokenStream {
    let exported = &types[0];
    let optional = [("probe", probe.is_some()), ("lifecycle", lifecycle.is_some())];
    let optional: Vec<&str> = optional.into_iter().filter_map(|(name, is_given)| is_given.then_some(name)).collect();
    let bindings = bindings::exports(world, &optional);
    // Natively too, and where it is asked for.
    let checked_probe = probe.as_ref().map(|probe| {
        let config = quote!(<__WharfExported as #held>::Config);
        quote_spanned!(probe.span()=> const _: () = ::wharf_sdk::__private::is_probed::<__WharfExported, #config>();)
    });
    let checked_lifecycle = lifecycle.as_ref().map(|lifecycle| {
        let config = quote!(<__WharfExported as #held>::Config);
        quote_spanned!(lifecycle.span()=> const _: () = ::wharf_sdk::__private::is_told::<__WharfExported, #config>();)
    });
    let held = quote!(<Exported as #held>);
    let lifecycle = lifecycle.as_ref().map(|_| {
        let told = quote!(::std::result::Result<(), types::Failure>);
        quote! {
            impl exports::wharf::connector::lifecycle::Guest for Component {
                fn created(event: ::std::string::String, settings: types::Settings) -> #told {
                    sdk::created::<Exported, #held::Config>(&event, settings)
                }

                fn updated(event: ::std::string::String, before: types::Settings, after: types::Settings) -> #told {
                    sdk::updated::<Exported, #held::Config>(&event, before, after)
                }

                fn deleted(event: ::std::string::String, settings: types::Settings) -> #told {
                    sdk::deleted::<Exported, #held::Config>(&event, settings)
                }
            }
        }
    });
    let probe = probe.as_ref().map(|_| {
        quote! {
            impl exports::wharf::connector::probe::Guest for Component {
                fn reachable(settings: types::Settings) -> ::std::result::Result<(), types::Failure> {
                    sdk::reachable::<Exported, #held::Config>(settings)
                }
            }
        }
    });
    let name = |name: &str| syn::Ident::new(name, proc_macro2::Span::call_site());
    let inside = further.iter().map(|(inner, _)| {
        let (inner, outer) = (name(inner), name(&format!("__Wharf{inner}")));
        quote!(#[allow(dead_code, reason = "natively nothing is exported")] type #inner = super::#outer;)
    });
    let outside = further.iter().map(|(inner, given)| {
        let outer = name(&format!("__Wharf{inner}"));
        quote!(#[doc(hidden)] #[allow(dead_code, reason = "natively nothing is exported")] type #outer = #given;)
    });
    quote! {
        #[doc(hidden)]
        #[allow(missing_docs, clippy::all)]
        mod __wharf_component {
            #[allow(dead_code, reason = "natively nothing is exported")]
            type Exported = super::__WharfExported;
            #(#inside)*

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

                #probe

                #lifecycle

                export!(Component);
            }
        }

        #[doc(hidden)]
        type __WharfExported = #exported;
        #(#outside)*

        #checked
        #checked_probe
        #checked_lifecycle
    }
}
