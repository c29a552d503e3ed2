//! What `#[parameter(…)]` and the documentation say of a field.

use syn::{
    Attribute, Error, Expr, ExprRange, Field, Lit, LitStr, RangeLimits, Result, Token, Type, UnOp, Variant,
    meta::ParseNestedMeta, parenthesized, punctuated::Punctuated, spanned::Spanned,
};

use crate::names;

const KNOWN: [&str; 11] =
    ["default", "required", "secret", "one_of", "none_of", "min", "max", "pattern", "length", "rename", "summary"];

/// What is said of a field. Values are as an operator would write them.
#[derive(Default)]
pub struct Attributes {
    pub summary: String,
    pub rename: Option<String>,
    pub default: Option<String>,
    pub required: bool,
    pub secret: bool,
    pub one_of: Vec<String>,
    pub none_of: Vec<String>,
    pub min: Option<String>,
    pub max: Option<String>,
    pub pattern: Option<String>,
    pub length: (Option<u32>, Option<u32>),
}

impl Attributes {
    pub fn of_field(field: &Field) -> Result<Self> {
        let mut said = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("parameter")) {
            attribute.parse_nested_meta(|meta| {
                let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                if seen.contains(&name) {
                    return Err(meta.error(format!("`{name}` is said twice")));
                }
                seen.push(name.clone());
                said.take(&name, &meta)
            })?;
        }
        if said.summary.is_empty() {
            said.summary = first_paragraph(&field.attrs);
        }
        said.agrees_with(&field.ty)?;
        Ok(said)
    }

    fn take(&mut self, name: &str, meta: &ParseNestedMeta<'_>) -> Result<()> {
        match name {
            "default" => self.default = Some(literal(name, &meta.value()?.parse()?)?),
            "min" => self.min = Some(literal(name, &meta.value()?.parse()?)?),
            "max" => self.max = Some(literal(name, &meta.value()?.parse()?)?),
            "pattern" => self.pattern = Some(meta.value()?.parse::<LitStr>()?.value()),
            "summary" => self.summary = meta.value()?.parse::<LitStr>()?.value(),
            "rename" => self.rename = Some(rename(meta)?),
            "required" => self.required = true,
            "secret" => self.secret = true,
            "one_of" => self.one_of = literals(name, meta)?,
            "none_of" => self.none_of = literals(name, meta)?,
            "length" => self.length = length(meta)?,
            _ => return Err(unknown(meta, name, &KNOWN)),
        }
        Ok(())
    }

    /// Refuses what the type leaves no room for.
    fn agrees_with(&self, ty: &Type) -> Result<()> {
        let shape = shape(ty);
        let refuse = |message: &str| Err(Error::new(ty.span(), message));
        match (self.default.is_some(), self.required, shape) {
            (true, _, Shape::Optional) => {
                refuse("an `Option` is absent where nothing is given: drop `default` or drop the `Option`")
            }
            (true, _, Shape::Many) => refuse("a list or map is empty where nothing is given, and has no `default`"),
            (_, true, Shape::Optional) => refuse("an `Option` may be left out: drop the `Option` to make the parameter required"),
            (_, true, Shape::One) => refuse("a parameter without a `default` is required already: drop `required`"),
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Copy)]
enum Shape {
    One,
    Optional,
    Many,
}

fn shape(ty: &Type) -> Shape {
    let Type::Path(path) = ty else { return Shape::One };
    match path.path.segments.last().map(|segment| segment.ident.to_string()).as_deref() {
        Some("Option") => Shape::Optional,
        Some("Vec" | "BTreeMap" | "HashMap") => Shape::Many,
        _ => Shape::One,
    }
}

/// `#[parameter(rename = "…")]` on a variant.
pub fn rename_of_variant(variant: &Variant) -> Result<Option<String>> {
    let mut renamed = None;
    for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("parameter")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("rename") {
                let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                return Err(unknown(&meta, &name, &["rename"]));
            }
            renamed = Some(meta.value()?.parse::<LitStr>()?.value());
            Ok(())
        })?;
    }
    Ok(renamed)
}

fn unknown(meta: &ParseNestedMeta<'_>, name: &str, known: &[&str]) -> Error {
    match names::nearest(name, known) {
        Some(nearest) => meta.error(format!("there is no `{name}`; did you mean `{nearest}`?")),
        None => meta.error(format!("there is no `{name}`; there are {}", known.join(", "))),
    }
}

fn rename(meta: &ParseNestedMeta<'_>) -> Result<String> {
    let name: LitStr = meta.value()?.parse()?;
    match names::is_name(&name.value()) {
        true => Ok(name.value()),
        false => Err(Error::new(name.span(), "a parameter's name is made of lower-case letters, digits and hyphens")),
    }
}

/// A literal as an operator would write it.
fn literal(name: &str, value: &Expr) -> Result<String> {
    let wrong = || Error::new(value.span(), format!("`{name}` takes a literal, such as `3`, `true` or `\"30s\"`"));
    match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Ok(text.value()),
            Lit::Int(number) => Ok(number.base10_digits().into()),
            Lit::Float(number) => Ok(number.base10_digits().into()),
            Lit::Bool(bool) => Ok(bool.value.to_string()),
            Lit::Char(char) => Ok(char.value().to_string()),
            _ => Err(wrong()),
        },
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => Ok(format!("-{}", literal(name, &unary.expr)?)),
        _ => Err(wrong()),
    }
}

fn literals(name: &str, meta: &ParseNestedMeta<'_>) -> Result<Vec<String>> {
    let content;
    parenthesized!(content in meta.input);
    let values = Punctuated::<Expr, Token![,]>::parse_terminated(&content)?;
    if values.is_empty() {
        return Err(meta.error(format!("`{name}` takes at least one value")));
    }
    values.iter().map(|value| literal(name, value)).collect()
}

/// `length(1..=64)`, `length(1..)`, `length(..=64)`.
fn length(meta: &ParseNestedMeta<'_>) -> Result<(Option<u32>, Option<u32>)> {
    let content;
    parenthesized!(content in meta.input);
    let range: Expr = content.parse()?;
    let wrong = || Error::new(range.span(), "`length` takes a range, such as `1..=64`, `1..` or `..=64`");
    let bound = |bound: &Option<Box<Expr>>| match bound.as_deref() {
        None => Ok(None),
        Some(Expr::Lit(literal)) => match &literal.lit {
            Lit::Int(number) => number.base10_parse().map(Some).map_err(|_| wrong()),
            _ => Err(wrong()),
        },
        Some(_) => Err(wrong()),
    };
    let Expr::Range(ExprRange { start, end, limits, .. }) = &range else { return Err(wrong()) };
    let (start, end) = (bound(start)?, bound(end)?);
    let end: Option<u32> = match (limits, end) {
        (RangeLimits::HalfOpen(_), Some(end)) => Some(u32::checked_sub(end, 1).ok_or_else(wrong)?),
        (_, end) => end,
    };
    match (start, end) {
        (Some(start), Some(end)) if start > end => Err(Error::new(range.span(), "the range of `length` holds nothing")),
        _ => Ok((start, end)),
    }
}

/// The first paragraph of the documentation, on one line.
fn first_paragraph(attributes: &[Attribute]) -> String {
    let mut paragraph: Vec<String> = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        let syn::Meta::NameValue(meta) = &attribute.meta else { continue };
        let Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) = &meta.value else { continue };
        for line in text.value().lines().map(str::trim) {
            match (line.is_empty(), paragraph.is_empty()) {
                (true, true) => {}
                (true, false) => return paragraph.join(" "),
                (false, _) => paragraph.push(line.to_owned()),
            }
        }
        if text.value().trim().is_empty() && !paragraph.is_empty() {
            break;
        }
    }
    paragraph.join(" ")
}
