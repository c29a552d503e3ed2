//! The contract as text, and the calls of `wit_bindgen::generate!` that are made of it.
//!
//! `wharf-sdk` generates the world `imports` and nothing else; what a component exports is generated in its own crate, onto the
//! types of `wharf-sdk`. A library that generates several worlds links no component at all.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

const PACKAGE: &str = "wharf:connector";
const VERSION: &str = "0.1.0";

/// A WIT package may be given as one text only: the files one after another, of which the first says what package it is.
const FILES: [&str; 3] =
    [include_str!("../../../wit/types.wit"), include_str!("../../../wit/host.wit"), include_str!("../../../wit/connector.wit")];

/// What every world imports, in the order of `world imports`.
const IMPORTS: [&str; 10] =
    ["types", "records", "context", "progress", "follow-ups", "staged", "log", "metrics", "state", "tokens"];

fn contract() -> String {
    let mut text = format!("package {PACKAGE}@{VERSION};\n");
    for line in FILES.iter().flat_map(|file| file.lines()).filter(|line| !line.starts_with("package ")) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// For `wharf-sdk`: the types and what every component imports.
pub fn imports() -> TokenStream {
    let contract = contract();
    quote! {
        ::wit_bindgen::generate!({
            inline: #contract,
            world: "imports",
            generate_unused_types: true,
        });
    }
}

/// For a component: the interfaces that `world` exports and the `optional` ones, with all else taken from `wharf-sdk`.
pub fn exports(world: &str, optional: &[&str]) -> TokenStream {
    let mut contract = contract();
    let mut world = world;
    if !optional.is_empty() {
        let exports: String = optional.iter().map(|interface| format!("export {interface}; ")).collect();
        contract.push_str(&format!("world exported {{ include {world}; {exports}}}\n"));
        world = "exported";
    }
    let with = IMPORTS.iter().map(|interface| {
        let key = format!("{PACKAGE}/{interface}@{VERSION}");
        let module = Ident::new(&interface.replace('-', "_"), Span::call_site());
        quote!(#key: ::wharf_sdk::__private::bindings::wharf::connector::#module)
    });
    quote! {
        ::wharf_sdk::__private::wit_bindgen::generate!({
            inline: #contract,
            world: #world,
            runtime_path: "::wharf_sdk::__private::wit_bindgen::rt",
            with: { #(#with,)* },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_is_one_package_of_this_version() {
        for file in FILES {
            assert!(file.starts_with(&format!("package {PACKAGE}@{VERSION};\n")));
        }
        assert_eq!(contract().matches("package ").count(), 1);
    }

    #[test]
    fn every_interface_that_a_component_imports_is_mapped() {
        let contract = contract();
        let world = contract.split("world imports {").nth(1).unwrap().split('}').next().unwrap();
        let imported: Vec<_> = world.lines().filter_map(|line| line.trim().strip_prefix("import ")?.strip_suffix(';')).collect();
        assert_eq!(imported, &IMPORTS[1..]);
    }
}
