//! `#[derive(Parameters)]`: a struct declares its fields, an enum becomes a value with these choices.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Data, DeriveInput, Error, Fields, Ident, Result, Type, spanned::Spanned};

use crate::{
    attributes::{self, Attributes},
    names,
};

pub fn derive(input: TokenStream) -> TokenStream {
    syn::parse2(input).and_then(|input| expand(&input)).unwrap_or_else(Error::into_compile_error)
}

fn expand(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new(
            input.generics.span(),
            "`Parameters` cannot be derived for a generic type: an operator sets what is concrete",
        ));
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => structure(&input.ident, fields.named.iter()),
            Fields::Unit => structure(&input.ident, [].iter()),
            Fields::Unnamed(fields) => {
                Err(Error::new(fields.span(), "`Parameters` needs named fields: a parameter is called what its field is called"))
            }
        },
        Data::Enum(data) => choice(&input.ident, data),
        Data::Union(data) => Err(Error::new(data.union_token.span, "`Parameters` cannot be derived for a union")),
    }
}

fn structure<'a>(name: &Ident, fields: impl Iterator<Item = &'a syn::Field>) -> Result<TokenStream> {
    let mut declare = Vec::new();
    let mut read = Vec::new();
    let mut idents = Vec::new();
    let mut locals = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    let mut errors: Option<Error> = None;
    for field in fields {
        let Some(ident) = &field.ident else { continue };
        let attributes = match Attributes::of_field(field) {
            Ok(attributes) => attributes,
            Err(error) => {
                match &mut errors {
                    Some(errors) => errors.combine(error),
                    None => errors = Some(error),
                }
                continue;
            }
        };
        let parameter = attributes.rename.clone().unwrap_or_else(|| names::hyphenated(&ident.to_string()));
        if seen.contains(&parameter) {
            return Err(Error::new(ident.span(), format!("two parameters are called `{parameter}`")));
        }
        // A name of its own, lest a field called `settings` hide the settings.
        let local = format_ident!("__field_{}", idents.len());
        let (declared, done) = field_tokens(&parameter, &local, &field.ty, &attributes);
        seen.push(parameter);
        declare.push(declared);
        read.push(done);
        idents.push(ident);
        locals.push(local);
    }
    if let Some(errors) = errors {
        return Err(errors);
    }
    Ok(quote! {
        #[automatically_derived]
        impl ::wharf_sdk::Parameters for #name {
            #[allow(unused_variables, reason = "a struct without fields uses none of them")]
            fn declare_behind(prefix: &str, into: &mut ::std::vec::Vec<::wharf_sdk::parameters::Parameter>) {
                #(#declare)*
            }

            #[allow(unused_variables, reason = "a struct without fields uses none of them")]
            fn read_behind(
                prefix: &str,
                settings: &::wharf_sdk::Settings,
                problems: &mut ::std::vec::Vec<::wharf_sdk::Problem>,
            ) -> ::std::option::Option<Self> {
                // Each is read before any is missed, so that all problems are told at once.
                #(#read)*
                ::std::option::Option::Some(Self { #(#idents: #locals?,)* })
            }
        }

        #[automatically_derived]
        impl ::wharf_sdk::parameters::Field for #name {
            fn declare(
                parameter: ::wharf_sdk::parameters::Parameter,
                into: &mut ::std::vec::Vec<::wharf_sdk::parameters::Parameter>,
            ) {
                <Self as ::wharf_sdk::Parameters>::declare_behind(&::std::format!("{}.", parameter.name), into);
            }

            fn read(
                name: &str,
                _: ::wharf_sdk::parameters::Given<'_>,
                settings: &::wharf_sdk::Settings,
                problems: &mut ::std::vec::Vec<::wharf_sdk::Problem>,
            ) -> ::std::option::Option<Self> {
                <Self as ::wharf_sdk::Parameters>::read_behind(&::std::format!("{name}."), settings, problems)
            }
        }
    })
}

fn field_tokens(parameter: &str, local: &Ident, ty: &Type, attributes: &Attributes) -> (TokenStream, TokenStream) {
    let Attributes { summary, default, required, secret, one_of, none_of, min, max, pattern, length, .. } = attributes;
    let (default, min, max, pattern) = (text(default), text(min), text(max), text(pattern));
    let (min_length, max_length) = (number(length.0), number(length.1));
    let given = match default {
        Some(ref default) => quote!(::std::option::Option::Some(#default)),
        None => quote!(::std::option::Option::None),
    };
    let owned = |value: Option<TokenStream>| match value {
        Some(value) => quote!(::std::option::Option::Some(::std::string::String::from(#value))),
        None => quote!(::std::option::Option::None),
    };
    let (default, min, max, pattern) = (owned(default), owned(min), owned(max), owned(pattern));
    // The bound is checked where the type stands, so that the compiler points there.
    let field = quote_spanned!(ty.span()=> <#ty as ::wharf_sdk::parameters::Field>);
    let declare = quote! {
        #field::declare(
            ::wharf_sdk::parameters::Parameter {
                name: ::std::format!("{prefix}{}", #parameter),
                summary: ::std::string::String::from(#summary),
                kind: ::std::default::Default::default(),
                default: #default,
                required: #required,
                secret: #secret,
                rules: ::wharf_sdk::parameters::Rules {
                    min: #min,
                    max: #max,
                    one_of: ::std::vec![#(::std::string::String::from(#one_of)),*],
                    none_of: ::std::vec![#(::std::string::String::from(#none_of)),*],
                    pattern: #pattern,
                    min_length: #min_length,
                    max_length: #max_length,
                },
            },
            into,
        );
    };
    let read = quote! {
        let #local: ::std::option::Option<#ty> = #field::read(
            &::std::format!("{prefix}{}", #parameter),
            ::wharf_sdk::parameters::Given { default: #given, secret: #secret },
            settings,
            problems,
        );
    };
    (declare, read)
}

fn text(value: &Option<String>) -> Option<TokenStream> {
    value.as_ref().map(|value| quote!(#value))
}

fn number(value: Option<u32>) -> TokenStream {
    match value {
        Some(value) => quote!(::std::option::Option::Some(#value)),
        None => quote!(::std::option::Option::None),
    }
}

fn choice(name: &Ident, data: &syn::DataEnum) -> Result<TokenStream> {
    let mut idents = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    for variant in &data.variants {
        if !variant.fields.is_empty() {
            let message =
                "a variant that an operator chooses has no fields; a struct with the fields of each case can hold the rest";
            return Err(Error::new(variant.fields.span(), message));
        }
        let text = attributes::rename_of_variant(variant)?.unwrap_or_else(|| names::hyphenated(&variant.ident.to_string()));
        if texts.contains(&text) {
            return Err(Error::new(variant.span(), format!("two variants are called `{text}`")));
        }
        idents.push(&variant.ident);
        texts.push(text);
    }
    if idents.is_empty() {
        return Err(Error::new(Span::call_site(), "an enum without variants leaves an operator nothing to choose"));
    }
    let message = format!("not one of {}", texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", "));
    Ok(quote! {
        #[automatically_derived]
        impl ::wharf_sdk::parameters::Value for #name {
            const KIND: ::wharf_sdk::parameters::Kind = ::wharf_sdk::parameters::Kind::String;

            fn constrain(rules: &mut ::wharf_sdk::parameters::Rules) {
                if rules.one_of.is_empty() {
                    rules.one_of = ::std::vec![#(::std::string::String::from(#texts)),*];
                }
            }

            fn parse(text: &str) -> ::std::result::Result<Self, ::std::string::String> {
                match text {
                    #(#texts => ::std::result::Result::Ok(Self::#idents),)*
                    _ => ::std::result::Result::Err(::std::string::String::from(#message)),
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(input: &str) -> String {
        let input: DeriveInput = syn::parse_str(input).unwrap();
        expand(&input).unwrap_err().into_iter().map(|error| error.to_string()).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn wrong_use_is_told_in_words() {
        let cases = [
            ("struct C(String);", "needs named fields"),
            ("struct C<T> { a: T }", "cannot be derived for a generic type"),
            ("union C { a: u8 }", "cannot be derived for a union"),
            ("enum C { A(u8) }", "a variant that an operator chooses has no fields"),
            ("enum C {}", "nothing to choose"),
            ("enum C { A, #[parameter(rename = \"a\")] B }", "two variants are called `a`"),
            ("struct C { a_b: u8, #[parameter(rename = \"a-b\")] c: u8 }", "two parameters are called `a-b`"),
            ("struct C { #[parameter(defualt = 3)] a: u8 }", "`defualt`; did you mean `default`?"),
            ("struct C { #[parameter(default = f())] a: u8 }", "`default` takes a literal"),
            ("struct C { #[parameter(default = 1, default = 2)] a: u8 }", "`default` is said twice"),
            ("struct C { #[parameter(default = \"x\")] a: Option<String> }", "drop `default` or drop the `Option`"),
            ("struct C { #[parameter(default = \"x\")] a: Vec<String> }", "empty where nothing is given"),
            ("struct C { #[parameter(required)] a: u8 }", "required already"),
            ("struct C { #[parameter(required)] a: Option<u8> }", "drop the `Option`"),
            ("struct C { #[parameter(length(2))] a: String }", "`length` takes a range"),
            ("struct C { #[parameter(length(5..=2))] a: String }", "the range of `length` holds nothing"),
            ("struct C { #[parameter(rename = \"a b\")] a: String }", "lower-case letters, digits and hyphens"),
            ("struct C { #[parameter(one_of())] a: String }", "`one_of` takes at least one value"),
            ("struct C { #[parameter(x = 1)] a: u8, #[parameter(y = 2)] b: u8 }", "`x`"),
            ("struct C { #[parameter(x = 1)] a: u8, #[parameter(y = 2)] b: u8 }", "`y`"),
        ];
        for (input, expected) in cases {
            let refusal = refusal(input);
            assert!(refusal.contains(expected), "{input}\n{refusal}");
        }
    }

    #[test]
    fn whatever_is_right_expands_to_rust() {
        for input in [
            "struct C;",
            "struct C { r#type: Vec<u8>, #[parameter(length(..=3), min = -1, max = 1.5)] b: f64 }",
            "enum M { A, BC }",
        ] {
            let input: DeriveInput = syn::parse_str(input).unwrap();
            syn::parse2::<syn::File>(expand(&input).unwrap()).unwrap();
        }
    }
}
