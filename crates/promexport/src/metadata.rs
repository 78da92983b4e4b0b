//! The lines in front of a family's samples.

use std::io::Write;

use crate::escape;
use crate::family::{Head, Kind};
use crate::format::Format;
use crate::name;

pub(crate) fn write(head: &Head, format: Format, out: &mut Vec<u8>) {
    if format.is_open_metrics() {
        write_open_metrics(head, out);
    } else {
        write_text(head, out);
    }
}

fn write_text(head: &Head, out: &mut Vec<u8>) {
    let kind = match head.kind {
        Kind::Counter => "counter",
        Kind::Gauge | Kind::Info | Kind::StateSet => "gauge",
        Kind::Histogram => "histogram",
        Kind::Unknown => "untyped",
    };
    write_help(&head.name, &head.help, false, out);
    write_line("TYPE", &head.name, kind, out);
}

fn write_open_metrics(head: &Head, out: &mut Vec<u8>) {
    let name = &*head.name;
    let (kind, name) = match head.kind {
        Kind::Counter => ("counter", name::stem(name)),
        Kind::Gauge => ("gauge", name),
        Kind::Histogram => ("histogram", name),
        Kind::Info => ("info", name::stem(name)),
        Kind::StateSet => ("stateset", name),
        Kind::Unknown => ("unknown", name),
    };
    write_line("TYPE", name, kind, out);
    if let Some(unit) = name::unit(name)
        && !matches!(head.kind, Kind::Info | Kind::StateSet)
    {
        write_line("UNIT", name, unit, out);
    }
    write_help(name, &head.help, true, out);
}

fn write_line(word: &str, name: &str, text: &str, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = writeln!(out, "# {word} {name} {text}");
}

fn write_help(name: &str, help: &str, escape_quotes: bool, out: &mut Vec<u8>) {
    let _ = write!(out, "# HELP {name} ");
    escape::help(help, escape_quotes, out);
    out.push(b'\n');
}
