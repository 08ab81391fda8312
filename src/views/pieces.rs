//! What many pages hold: surroundings, fields, lists, links. Templates are expanded wherever they are named, so what
//! stands in many places is a struct here, compiled once, and the pages call it. Nothing but our own templates, which
//! escape, makes these, so they reach a page as they are.

use std::fmt::Display;

use askama::Template;
use askama::filters::HtmlSafe;

use super::frame::{Frame, Kind};
use super::parts::{Check, Choice, Event, FieldErrors, OneTimeLink, Pager, Svg, When};
use super::setup::{InsecureVisit, Steps};

/// Makes a struct for each block of `parts/pieces.html`, and what fills it: a method of the type that it is named with, or
/// a function.
macro_rules! pieces {
    ($owner:ident $own:ident; $($block:tt $fill:ident $name:ident { $($field:ident: $kind:ty),* })*) => {
        pieces! { @ $($block $name { $own: $owner $(, $field: $kind)* })* }
        impl $owner {
            $(
                pub(super) fn $fill<'a>(&'a self, $($field: &'a $kind),*) -> $name<'a> {
                    $name { $own: self, $($field,)* }
                }
            )*
        }
    };
    (fn; $($block:tt $fill:ident $name:ident { $($field:ident: $kind:ty),* })*) => {
        pieces! { @ $($block $name { $($field: $kind),* })* }
        $(
            pub(super) fn $fill<'a>($($field: &'a $kind),*) -> $name<'a> {
                $name { $($field,)* }
            }
        )*
    };
    (@ $($block:tt $name:ident { $($field:ident: $kind:ty),* })*) => {
        $(
            #[derive(Template)]
            #[template(path = "parts/pieces.html", block = $block)]
            pub(super) struct $name<'a> {
                $($field: &'a $kind,)*
            }

            impl HtmlSafe for $name<'_> {}
        )*
    };
}

pieces! {
    Frame frame;
    "start" start Start {}
    "gate_header" gate_header GateHeader {}
    "shell_header" shell_header ShellHeader {}
    "side" side_part Side {}
    "notice" notice_part NoticePart {}
    "preferences" preferences Preferences {}
    "steps" steps StepsBar { steps: Steps }
    "csrf_field" csrf_field CsrfField {}
    "script" script Script { name: str }
    "when" when Moment { w: When }
    "summary" summary Summary { errors: FieldErrors }
    "area" area Area { errors: FieldErrors, id: str, label: str, value: str, hint: str, optional: bool }
    "new_password" new_password NewPassword { errors: FieldErrors, id: str, min_length: u32, label: str }
    "code" code Code { errors: FieldErrors, id: str, label: str, hint: str }
    "copyable" copyable Copyable { id: str, text: str, label: str, n: dyn Display }
    "scan" scan Scan { qr: Svg, secret_text: str, uri: str }
    "codes" codes Codes { codes: [String], username: str, instance: str }
    "check" check OneCheck { c: Check, prefix: str, n: dyn Display }
    "checks" checks Checks { list: [Check], prefix: str }
    "checks_seen" checks_seen ChecksSeen { list: [Check], prefix: str }
    "events" events Events { list: [Event] }
    "pages" pages Pages { pager: Pager }
    "insecure" insecure Insecure { visit: InsecureVisit }
    "one_time_link" one_time_link LinkPart { l: OneTimeLink }
}

pieces! {
    FieldErrors errors;
    "below" below Below { id: str, hint: str }
    "described" described Described { id: str, hint: str }
    "radios" radios Radios { name: str, legend: str, choices: [Choice] }
}

pieces! {
    fn;
    "boxes" boxes Boxes { name: str, legend: str, choices: [Choice], empty: str }
    "select" select Select { id: str, label: str, choices: [Choice] }
    "passkey" passkey Passkey { options: str, action: str, label: str, renew: str, suggest: bool, kind: str }
    "kind_icon" icon Icon { kind: Kind }
}

/// A labelled line to type into.
#[derive(Template)]
#[template(path = "parts/pieces.html", block = "field")]
pub(super) struct Field<'a> {
    frame: &'a Frame,
    errors: &'a FieldErrors,
    id: &'a str,
    label: &'a str,
    value: &'a str,
    hint: &'a str,
    kind: &'a str,
    autocomplete: &'a str,
    max: u32,
    optional: bool,
    mono: bool,
}

impl HtmlSafe for Field<'_> {}

impl<'a> Field<'a> {
    /// Sets what is typed: the kind of input, what a browser may fill in, and the most letters.
    pub(super) fn typed(self, kind: &'a str, autocomplete: &'a str, max: &u32) -> Self {
        Field { kind, autocomplete, max: *max, ..self }
    }

    /// Sets whether it may be left out, and whether it is code.
    pub(super) fn shaped(self, optional: &bool, mono: &bool) -> Self {
        Field { optional: *optional, mono: *mono, ..self }
    }
}

impl Frame {
    pub(super) fn field<'a>(
        &'a self,
        errors: &'a FieldErrors,
        id: &'a str,
        label: &'a str,
        value: &'a str,
        hint: &'a str,
    ) -> Field<'a> {
        Field {
            frame: self,
            errors,
            id,
            label,
            value,
            hint,
            kind: "text",
            autocomplete: "off",
            max: 256,
            optional: false,
            mono: false,
        }
    }
}
