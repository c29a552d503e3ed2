//! What the author of a connector sees.

#[allow(missing_docs, clippy::all)]
#[doc(hidden)]
pub mod bindings {
    wharf_sdk_derive::imports!();
}

#[doc(hidden)]
pub mod __private {
    pub use crate::bindings;
    use bindings::wharf::connector::types;
    pub use wit_bindgen;
    pub struct Session<D>(std::marker::PhantomData<D>);
    pub fn describe<D>() -> String {
        String::new()
    }
    pub fn check<D>(_: types::Settings) -> Vec<(String, String)> {
        vec![]
    }
    pub const fn is_destination<D>() {}
    impl<D> Session<D> {
        pub fn open(_: types::Settings) -> Result<Self, types::Failure> {
            Ok(Self(std::marker::PhantomData))
        }
        pub fn write(&self, batch: types::Batch) -> Result<types::Receipt, types::Failure> {
            Ok(types::Receipt { delivered: vec![types::Span { start: 0, end: batch.count }], verdicts: vec![] })
        }
        pub fn ack(&self, _: &[String]) {}
        pub fn close(&self) -> Result<(), types::Failure> {
            Ok(())
        }
    }
}
pub use wharf_sdk_derive::export_destination;
