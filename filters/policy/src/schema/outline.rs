//! What all documents tried so far have shown of an object: its fields, and how each is read.

use super::notes::{Notes, Shape};
use crate::path::Path;
use crate::value::{Object, Value};

/// How deep objects are looked into: those within have whatever fields they like.
const MAX_DEPTH: usize = 12;

/// An object that stands at one place in some of the documents.
#[derive(Default)]
pub(super) struct Outline {
    pub(super) fields: Vec<Field>,
    /// How many objects this one is in.
    depth: usize,
    /// Some documents had it.
    is_seen: bool,
    /// Some of them might have had other fields without anybody minding.
    is_open: bool,
    /// Fields that exclude each other and of which there must be one, in all of them.
    pub(super) exclusive: Vec<Vec<&'static str>>,
}

/// A field that a reader asked for.
pub(super) struct Field {
    pub(super) name: &'static str,
    /// What it was called in an earlier minor version.
    pub(super) earlier: Option<&'static str>,
    /// What it may be as well, as far as somebody asked whether it is.
    pub(super) asked: Vec<Shape>,
    /// A value must suit all the readers of one of these.
    pub(super) readings: Vec<Vec<Shape>>,
    /// Whoever left it out was told that it is missing.
    pub(super) is_required: bool,
    /// The field where it is an object.
    pub(super) object: Outline,
    /// The items where it is a list.
    pub(super) items: Outline,
}

impl Outline {
    /// Whether a field with any other name is an error.
    pub(super) fn is_closed(&self) -> bool {
        self.is_seen && !self.is_open
    }

    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Grows with whatever is found out about what can be read.
    pub(super) fn size(&self) -> usize {
        let sizes = self.fields.iter().map(|field| {
            let within = field.object.size().saturating_add(field.items.size());
            within.saturating_add(field.readings.len()).saturating_add(field.asked.len()).saturating_add(1)
        });
        sizes.fold(usize::from(self.is_seen), usize::saturating_add)
    }

    /// An object within this one.
    fn within(&self) -> Outline {
        Outline { depth: self.depth.saturating_add(1), ..Outline::default() }
    }

    /// Adds what one document showed of the object at `path`. `is_answered_for`: an unknown field in it is looked for.
    pub(super) fn add(&mut self, object: &Object, path: &Path, is_answered_for: bool, notes: &Notes) {
        // Nobody asked for anything in it, or it is too deep.
        if self.depth > MAX_DEPTH || !object.is_open() && object.accepted().is_empty() {
            return;
        }
        let is_closed = is_answered_for && object.is_open();
        self.is_open |= !is_closed;
        let exclusive = notes.exclusive(path);
        if self.is_seen {
            self.exclusive.retain(|names| exclusive.contains(names));
        } else {
            self.exclusive = exclusive;
        }
        let accepted = object.accepted();
        for known in &accepted {
            self.know(known.name, known.alias);
        }
        let readings = notes.readings(path);
        for field in &mut self.fields {
            let name = field.name;
            let path = path.field(name);
            let of_field = readings.iter().filter(|(read, _)| *read == name).map(|(_, shape)| shape);
            let value = object.get(name);
            field.add_reading(of_field, value);
            let is_shared = accepted.iter().any(|known| known.name == name && known.shared);
            let is_answered_for = is_closed || is_shared;
            match value {
                None => field.is_required &= notes.is_missing(&path),
                Some(Value::Object(object)) => field.object.add(object, &path, is_answered_for, notes),
                Some(Value::Array(items)) => {
                    for (index, item) in items.iter().enumerate() {
                        if let Value::Object(object) = item {
                            field.items.add(object, &path.item(index), is_answered_for, notes);
                        }
                    }
                }
                Some(_) => {}
            }
        }
        self.is_seen = true;
    }

    /// There is a field of this name.
    fn know(&mut self, name: &'static str, earlier: Option<&'static str>) {
        if let Some(field) = self.fields.iter_mut().find(|field| field.name == name) {
            field.earlier = field.earlier.or(earlier);
            return;
        }
        self.fields.push(Field {
            name,
            earlier,
            asked: Vec::new(),
            readings: Vec::new(),
            // Until a document does without it.
            is_required: true,
            object: self.within(),
            items: self.within(),
        });
    }
}

impl Field {
    /// Adds how the field was read in one document, where it had this value.
    fn add_reading<'s>(&mut self, shapes: impl Iterator<Item = &'s Shape>, value: Option<&Value>) {
        let mut reading = Vec::new();
        for shape in shapes {
            let is_question = shape.is_question();
            add_once(if is_question { &mut self.asked } else { &mut reading }, shape.clone());
        }
        // A field that was asked about and then not read is what it was asked about.
        if reading.is_empty() {
            reading.extend(self.asked.iter().find(|question| question.is_answered_by(value)).cloned());
        }
        // Where fewer readers are enough, more of them change nothing.
        let is_told = |known: &Vec<Shape>| known.iter().all(|shape| reading.contains(shape));
        if !reading.is_empty() && !self.readings.iter().any(is_told) {
            self.readings.push(reading);
        }
    }
}

fn add_once(shapes: &mut Vec<Shape>, shape: Shape) {
    if !shapes.contains(&shape) {
        shapes.push(shape);
    }
}
