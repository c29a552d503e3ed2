//! How much of everything a component is made of, while its structure is walked.
//!
//! **Threat.** A file within its size may still hold a million functions, a function that a compiler works on for minutes, components in
//! components in components, or declarations so deep in each other that whoever reads them runs out of stack. **Answer.** Every section is read to its
//! end, entry by entry, nested ones included, and counted; beyond bounds that no toolchain comes near the file is refused, before
//! anything else reads it. Reading it takes time in proportion to its bytes, and memory for one entry.

use wasmparser::{
    BinaryReader, BinaryReaderError, ComponentType, ComponentTypeDeclaration, FromReader, KnownCustom, Payload, SectionLimited,
};

use super::NotAConnector;
use crate::sandbox::output::printable;

/// Characters of the parser's words that are kept.
const SAID: usize = 200;

/// The most there may be of each thing, over all levels of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Components in components, and types in types.
    Levels,
    /// Sections, custom ones included.
    Sections,
    /// Core functions.
    Functions,
    /// Bytes of the code of one function.
    FunctionBytes,
    /// Local variables, over all functions.
    Locals,
    /// Types and what they declare.
    Types,
    /// Imports of core modules.
    Imports,
    /// Exports of core modules.
    Exports,
    /// Names that the component itself imports and exports.
    Names,
    /// Bytes of one of these, which stand in errors.
    Name,
    /// Tables. Each may have a million entries that a compiler writes down.
    Tables,
    /// Memories. Each may have megabytes of content that a compiler writes down.
    Memories,
    /// Whatever else sections list: globals, segments, aliases, instances.
    Entries,
    /// Bytes that name functions, for backtraces.
    NameBytes,
}

impl Bound {
    const ALL: usize = 14;

    /// How many there may be.
    pub const fn most(self) -> u64 {
        match self {
            Self::Levels => 32,
            Self::Tables | Self::Memories => 256,
            Self::Names | Self::Name => 1_000,
            Self::Sections => 100_000,
            Self::Functions | Self::Types | Self::Imports | Self::Exports => 200_000,
            Self::Entries => 1_000_000,
            Self::FunctionBytes => 2 << 20,
            Self::Locals => 10_000_000,
            Self::NameBytes => 16 << 20,
        }
    }

    /// What is counted.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Levels => "levels of components and types in each other",
            Self::Sections => "sections",
            Self::Functions => "functions",
            Self::FunctionBytes => "bytes of code in one function",
            Self::Locals => "local variables",
            Self::Types => "types",
            Self::Imports => "imports of its modules",
            Self::Exports => "exports of its modules",
            Self::Names => "imports and exports",
            Self::Name => "bytes in the name of an import or export",
            Self::Tables => "tables",
            Self::Memories => "memories",
            Self::Entries => "entries in its sections",
            Self::NameBytes => "bytes of names of functions",
        }
    }
}

/// Why walking stopped.
pub(super) enum Stop {
    Damaged(BinaryReaderError),
    Beyond(Bound),
}

impl From<BinaryReaderError> for Stop {
    fn from(error: BinaryReaderError) -> Self {
        Self::Damaged(error)
    }
}

impl Stop {
    /// As it is told of a file of so many bytes.
    pub(super) fn of(self, size: u64) -> NotAConnector {
        match self {
            Self::Beyond(bound) => NotAConnector::Beyond(bound),
            Self::Damaged(error) => {
                // The parser's words may fill a page, and hold what stands in the file.
                let words = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
                let what = printable(&words, false).chars().take(SAID).collect();
                NotAConnector::Damaged { what, at: (error.offset() as u64).min(size), size }
            }
        }
    }
}

/// What was counted so far.
#[derive(Default)]
pub(super) struct Tally {
    counts: [u64; Bound::ALL],
    levels: u64,
}

impl Tally {
    /// Adds so many.
    pub(super) fn add(&mut self, bound: Bound, more: u64) -> Result<(), Stop> {
        let count = &mut self.counts[bound as usize];
        *count = count.saturating_add(more);
        if *count > bound.most() { Err(Stop::Beyond(bound)) } else { Ok(()) }
    }

    /// A name at the outermost level.
    pub(super) fn name(&mut self, name: &str) -> Result<String, Stop> {
        if name.len() as u64 > Bound::Name.most() {
            return Err(Stop::Beyond(Bound::Name));
        }
        self.add(Bound::Names, 1)?;
        Ok(name.to_owned())
    }

    /// How deep the walk stands; 0 is the outermost component.
    pub(super) fn levels(&self) -> u64 {
        self.levels
    }

    /// Reads what the parser came upon, and counts it. Gives the names that the outermost component imports and exports to `named`.
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8], payload: Payload<'a>) -> Result<(), Stop> {
        match payload {
            Payload::Version { .. } => return Ok(()),
            Payload::End(_) => {
                self.levels = self.levels.saturating_sub(1);
                return Ok(());
            }
            Payload::CodeSectionEntry(body) => {
                let code = body.range();
                if (code.end - code.start) as u64 > Bound::FunctionBytes.most() {
                    return Err(Stop::Beyond(Bound::FunctionBytes));
                }
                for locals in body.get_locals_reader()? {
                    let (more, _) = locals?;
                    self.add(Bound::Locals, more.into())?;
                }
                return Ok(());
            }
            _ => self.add(Bound::Sections, 1)?,
        }
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => self.deeper(),
            Payload::TypeSection(section) => {
                for group in section {
                    // One group may declare many.
                    self.add(Bound::Types, 1 + group?.types().len() as u64)?;
                }
                Ok(())
            }
            Payload::CoreTypeSection(section) => self.each(Bound::Types, section),
            Payload::ComponentTypeSection(section) => {
                let range = section.range();
                let mut reader = BinaryReader::new(bytes.get(range.clone()).unwrap_or_default(), range.start);
                for _ in 0..reader.read_var_u32()? {
                    self.component_type(&mut reader, 0)?;
                }
                Ok(())
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    import?;
                    self.add(Bound::Imports, 1)?;
                }
                Ok(())
            }
            Payload::ExportSection(section) => self.each(Bound::Exports, section),
            Payload::FunctionSection(section) => self.each(Bound::Functions, section),
            Payload::TableSection(section) => self.each(Bound::Tables, section),
            Payload::MemorySection(section) => self.each(Bound::Memories, section),
            Payload::TagSection(section) => self.each(Bound::Entries, section),
            Payload::GlobalSection(section) => self.each(Bound::Entries, section),
            Payload::ElementSection(section) => self.each(Bound::Entries, section),
            Payload::DataSection(section) => self.each(Bound::Entries, section),
            Payload::InstanceSection(section) => self.each(Bound::Entries, section),
            Payload::ComponentInstanceSection(section) => self.each(Bound::Entries, section),
            Payload::ComponentAliasSection(section) => self.each(Bound::Entries, section),
            Payload::ComponentCanonicalSection(section) => self.each(Bound::Entries, section),
            Payload::ComponentImportSection(section) => self.each(Bound::Entries, section),
            Payload::ComponentExportSection(section) => self.each(Bound::Entries, section),
            Payload::CustomSection(section) => match section.as_known() {
                KnownCustom::Name(_) | KnownCustom::ComponentName(_) => self.add(Bound::NameBytes, section.data().len() as u64),
                _ => Ok(()),
            },
            // What counts and is otherwise small; what is unknown is for the compiler to refuse.
            _ => Ok(()),
        }
    }

    fn deeper(&mut self) -> Result<(), Stop> {
        self.levels += 1;
        if self.levels > Bound::Levels.most() { Err(Stop::Beyond(Bound::Levels)) } else { Ok(()) }
    }

    /// Reads every entry of a section.
    fn each<'a, T: FromReader<'a>>(&mut self, bound: Bound, section: SectionLimited<'a, T>) -> Result<(), Stop> {
        for entry in section {
            entry?;
            self.add(bound, 1)?;
        }
        Ok(())
    }

    /// A type of a component, in which types may be declared that declare types. The parser's own reader calls itself for each level, as
    /// deep as the file says.
    fn component_type(&mut self, reader: &mut BinaryReader<'_>, level: u64) -> Result<(), Stop> {
        const COMPONENT: u8 = 0x41;
        const INSTANCE: u8 = 0x42;
        const TYPE: u8 = 0x01;
        if level > Bound::Levels.most() {
            return Err(Stop::Beyond(Bound::Levels));
        }
        self.add(Bound::Types, 1)?;
        if !matches!(next(reader)?, COMPONENT | INSTANCE) {
            reader.read::<ComponentType<'_>>()?;
            return Ok(());
        }
        reader.read_u8()?;
        for _ in 0..reader.read_var_u32()? {
            if next(reader)? == TYPE {
                reader.read_u8()?;
                self.component_type(reader, level + 1)?;
            } else {
                self.add(Bound::Types, 1)?;
                reader.read::<ComponentTypeDeclaration<'_>>()?;
            }
        }
        Ok(())
    }
}

/// The byte that comes next.
fn next(reader: &BinaryReader<'_>) -> Result<u8, BinaryReaderError> {
    reader.clone().read_u8()
}
