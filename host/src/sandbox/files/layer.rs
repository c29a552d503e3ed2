//! `wasi:filesystem` as components have it.

use std::{fs::FileTimes, sync::Arc, time::SystemTime};

use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::{
    OpenMode,
    filesystem::{Descriptor, Dir, WasiFilesystemCtxView},
    p2::{
        DynInputStream, DynOutputStream, FsError, FsResult,
        bindings::filesystem::{
            preopens,
            types::{
                Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream, ErrorCode,
                Filesize, Host, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
            },
        },
    },
};

use super::{
    Files, Place,
    listing::{self, Listing},
    names, open,
    quota::Held,
    root::{Denied, Root},
    slots::{Reader, Slot},
    writer::{Position, Writer, write_some},
};
use crate::{clock::Deadline, sandbox::host::in_time};

/// Tells a linker what [`Layer`] borrows.
pub(super) struct Layered;

impl HasData for Layered {
    type Data<'a> = Layer<'a>;
}

/// One instance's files, and wasmtime-wasi's own beneath.
pub struct Layer<'a> {
    pub(in crate::sandbox) wasi: WasiFilesystemCtxView<'a>,
    pub(in crate::sandbox) files: &'a mut Files,
    pub(in crate::sandbox) deadline: Deadline,
}

/// A directory that a component has open.
struct At {
    root: Arc<Root>,
    directory: Arc<std::fs::File>,
}

/// A file that a component has open.
struct Open {
    root: Arc<Root>,
    held: Option<Arc<Held>>,
    file: Arc<std::fs::File>,
}

impl Layer<'_> {
    fn table(&mut self) -> &mut ResourceTable {
        self.wasi.table
    }

    fn place(&self, fd: &Resource<Descriptor>) -> wasmtime::Result<&Place> {
        self.files.places.get(&fd.rep()).ok_or_else(|| wasmtime::format_err!("a descriptor of no directory"))
    }

    fn at(&mut self, fd: &Resource<Descriptor>) -> FsResult<At> {
        self.in_time()?;
        let directory = match self.table().get(fd)? {
            Descriptor::Dir(directory) => directory.dir.clone(),
            Descriptor::File(_) => return Err(ErrorCode::NotDirectory.into()),
        };
        Ok(At { root: self.place(fd).map_err(FsError::trap)?.root.clone(), directory })
    }

    fn file(&mut self, fd: &Resource<Descriptor>) -> FsResult<Open> {
        self.in_time()?;
        let file = match self.table().get(fd)? {
            Descriptor::File(file) => file.file.clone(),
            Descriptor::Dir(_) => return Err(ErrorCode::BadDescriptor.into()),
        };
        let Place { root, held } = self.place(fd).map_err(FsError::trap)?;
        Ok(Open { root: root.clone(), held: held.clone(), file })
    }

    fn push(&mut self, descriptor: Descriptor, place: Place) -> FsResult<Resource<Descriptor>> {
        let fd = self.table().push(descriptor)?;
        self.files.places.insert(fd.rep(), place);
        Ok(fd)
    }

    /// Runs what blocks, and tells what was refused.
    async fn run<T: Send + 'static>(
        &mut self,
        what: &'static str,
        path: &str,
        work: impl FnOnce() -> Result<T, Denied> + Send + 'static,
    ) -> FsResult<T> {
        let slots = self.files.writing.slots.clone();
        let done = slots.run(work).await;
        let done = done.ok_or_else(|| FsError::trap(wasmtime::format_err!("{what} was abandoned")))?;
        done.map_err(|denied| self.denied(what, path, denied))
    }

    fn denied(&self, what: &'static str, path: &str, denied: Denied) -> FsError {
        match denied {
            Denied::Io(error) => error.into(),
            Denied::Refused(code, why) => {
                self.files.writing.refusals.note(what, path, why);
                code.into()
            }
        }
    }

    /// Waits for a thread on which wasmtime-wasi may look.
    async fn slot(&mut self) -> FsResult<Slot> {
        self.in_time()?;
        let slots = self.files.writing.slots.clone();
        Ok(slots.take().await)
    }

    /// A path, or what is to be written, has been copied by then; and what is refused at once waits for no thread.
    fn in_time(&self) -> FsResult<()> {
        in_time(self.deadline).map_err(FsError::trap)
    }

    /// What wasmtime-wasi refuses of a path is one that leads out; of what is open, a change to what may be read alone.
    fn looked<T>(&mut self, what: &'static str, path: &str, found: FsResult<T>) -> FsResult<T> {
        if let Err(error) = &found
            && matches!(error.downcast_ref(), Some(ErrorCode::NotPermitted))
        {
            self.files.writing.refusals.note(what, path, "it leads out of the directory, or may not be changed");
        }
        found
    }
}

impl preopens::Host for Layer<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let mut directories = Vec::with_capacity(self.files.roots.len());
        for root in self.files.roots.clone() {
            let directory = Dir::new(root.directory.try_clone()?, root.rights(), mode(&root), false);
            let fd = self.table().push(Descriptor::Dir(directory))?;
            directories.push((Resource::new_own(fd.rep()), root.guest.clone()));
            self.files.places.insert(fd.rep(), Place { root, held: None });
        }
        Ok(directories)
    }
}

fn mode(root: &Root) -> OpenMode {
    match root.writable() {
        Ok(()) => OpenMode::READ | OpenMode::WRITE,
        Err(_) => OpenMode::READ,
    }
}

impl Host for Layer<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        self.wasi.convert_error_code(error)
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        self.wasi.filesystem_error_code(error)
    }
}

impl HostDescriptor for Layer<'_> {
    fn read_via_stream(&mut self, fd: Resource<Descriptor>, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        let stream = self.wasi.read_via_stream(fd, offset)?;
        let inner = self.table().delete(stream)?;
        let reader: DynInputStream = Box::new(Reader::new(inner, self.files.writing.slots.clone()));
        Ok(self.table().push(reader)?)
    }

    fn write_via_stream(&mut self, fd: Resource<Descriptor>, offset: Filesize) -> FsResult<Resource<DynOutputStream>> {
        self.writer(&fd, Position::At(offset))
    }

    fn append_via_stream(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        self.writer(&fd, Position::End)
    }

    async fn advise(&mut self, fd: Resource<Descriptor>, offset: Filesize, length: Filesize, advice: Advice) -> FsResult<()> {
        let _slot = self.slot().await?;
        let found = self.wasi.advise(fd, offset, length, advice).await;
        self.looked("advise", "", found)
    }

    async fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        let _slot = self.slot().await?;
        let found = self.wasi.sync_data(fd).await;
        self.looked("sync-data", "", found)
    }

    async fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        let _slot = self.slot().await?;
        let found = self.wasi.get_flags(fd).await;
        self.looked("get-flags", "", found)
    }

    async fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        let _slot = self.slot().await?;
        let found = self.wasi.get_type(fd).await;
        self.looked("get-type", "", found)
    }

    async fn set_size(&mut self, fd: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        let Open { root, held, file } = self.file(&fd)?;
        let work = move || {
            root.writable()?;
            let growing = held.as_ref().map(|held| held.grow(size)).transpose()?;
            let done = file.set_len(size);
            drop(growing);
            if let Some(held) = &held {
                // It may have become shorter, or not have become longer.
                held.settle();
            }
            Ok(done?)
        };
        self.run("set-size", "", work).await
    }

    async fn set_times(&mut self, fd: Resource<Descriptor>, accessed: NewTimestamp, modified: NewTimestamp) -> FsResult<()> {
        let _slot = self.slot().await?;
        let found = self.wasi.set_times(fd, accessed, modified).await;
        self.looked("set-times", "", found)
    }

    async fn read(&mut self, fd: Resource<Descriptor>, length: Filesize, offset: Filesize) -> FsResult<(Vec<u8>, bool)> {
        let _slot = self.slot().await?;
        let found = self.wasi.read(fd, length, offset).await;
        self.looked("read", "", found)
    }

    async fn write(&mut self, fd: Resource<Descriptor>, bytes: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        let Open { root, held, file } = self.file(&fd)?;
        let work = move || {
            root.writable()?;
            Ok(write_some(&file, held.as_ref(), offset, &bytes)? as u64)
        };
        self.run("write", "", work).await
    }

    async fn read_directory(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        let At { directory, .. } = self.at(&fd)?;
        let listing = self.run("read-directory", "", move || Listing::open(&directory)).await?;
        // The component's handle bears wasmtime-wasi's type, which nobody else can make; the table tells them apart.
        let listing = self.table().push(listing)?;
        Ok(Resource::new_own(listing.rep()))
    }

    async fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        let _slot = self.slot().await?;
        let found = self.wasi.sync(fd).await;
        self.looked("sync", "", found)
    }

    async fn create_directory_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        let At { root, directory } = self.at(&fd)?;
        let named = path.clone();
        self.run("create-directory-at", &path, move || names::make_directory(&root, &directory, &named)).await
    }

    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        let _slot = self.slot().await?;
        let found = self.wasi.stat(fd).await;
        self.looked("stat", "", found)
    }

    async fn stat_at(&mut self, fd: Resource<Descriptor>, links: PathFlags, path: String) -> FsResult<DescriptorStat> {
        let _slot = self.slot().await?;
        let found = self.wasi.stat_at(fd, links, path.clone()).await;
        self.looked("stat-at", &path, found)
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Descriptor>,
        links: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let named = path.clone();
        if !links.contains(PathFlags::SYMLINK_FOLLOW) {
            let _slot = self.slot().await?;
            let found = self.wasi.set_times_at(fd, links, named, accessed, modified).await;
            return self.looked("set-times-at", &path, found);
        }
        let At { root, directory } = self.at(&fd)?;
        let mut times = FileTimes::new();
        if let Some(time) = time(accessed)? {
            times = times.set_accessed(time);
        }
        if let Some(time) = time(modified)? {
            times = times.set_modified(time);
        }
        self.run("set-times-at", &path, move || open::set_times(&root, &directory, &named, times)).await
    }

    async fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        links: PathFlags,
        path: String,
        to: Resource<Descriptor>,
        new: String,
    ) -> FsResult<()> {
        self.in_time()?;
        if links.contains(PathFlags::SYMLINK_FOLLOW) {
            return Err(ErrorCode::Invalid.into());
        }
        let (from, to, old) = (self.at(&fd)?, self.at(&to)?, path.clone());
        let work = move || names::link((&from.root, &from.directory, &old), (&to.root, &to.directory, &new));
        self.run("link-at", &path, work).await
    }

    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        links: PathFlags,
        path: String,
        how: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let At { root, directory } = self.at(&fd)?;
        let (below, named) = (root.clone(), path.clone());
        let work = move || open::open(&below, &directory, links, &named, how, flags);
        let (descriptor, held) = self.run("open-at", &path, work).await?;
        self.push(descriptor, Place { root, held })
    }

    async fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        let _slot = self.slot().await?;
        let found = self.wasi.readlink_at(fd, path.clone()).await;
        self.looked("readlink-at", &path, found)
    }

    async fn remove_directory_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        let At { root, directory } = self.at(&fd)?;
        let named = path.clone();
        self.run("remove-directory-at", &path, move || names::remove_directory(&root, &directory, &named)).await
    }

    async fn rename_at(&mut self, fd: Resource<Descriptor>, path: String, to: Resource<Descriptor>, new: String) -> FsResult<()> {
        let (from, to, old) = (self.at(&fd)?, self.at(&to)?, path.clone());
        let work = move || names::rename((&from.root, &from.directory, &old), (&to.root, &to.directory, &new));
        self.run("rename-at", &path, work).await
    }

    async fn symlink_at(&mut self, fd: Resource<Descriptor>, target: String, path: String) -> FsResult<()> {
        let At { root, directory } = self.at(&fd)?;
        let tried = format!("{path} -> {target}");
        self.run("symlink-at", &tried, move || names::symlink(&root, &directory, &target, &path)).await
    }

    async fn unlink_file_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        let At { root, directory } = self.at(&fd)?;
        let named = path.clone();
        self.run("unlink-file-at", &path, move || names::remove_file(&root, &directory, &named)).await
    }

    async fn is_same_object(&mut self, one: Resource<Descriptor>, other: Resource<Descriptor>) -> wasmtime::Result<bool> {
        in_time(self.deadline)?;
        let slots = self.files.writing.slots.clone();
        let _slot = slots.take().await;
        self.wasi.is_same_object(one, other).await
    }

    async fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        let _slot = self.slot().await?;
        let found = self.wasi.metadata_hash(fd).await;
        self.looked("metadata-hash", "", found)
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        links: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let _slot = self.slot().await?;
        let found = self.wasi.metadata_hash_at(fd, links, path.clone()).await;
        self.looked("metadata-hash-at", &path, found)
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.files.places.remove(&fd.rep());
        HostDescriptor::drop(&mut self.wasi, fd)
    }
}

impl HostDirectoryEntryStream for Layer<'_> {
    async fn read_directory_entry(&mut self, stream: Resource<DirectoryEntryStream>) -> FsResult<Option<DirectoryEntry>> {
        let listing = Resource::<Listing>::new_borrow(stream.rep());
        let found = self.table().get_mut(&listing)?;
        if let Some(entry) = found.next() {
            return Ok(Some(entry?));
        }
        let Some(directory) = found.take() else {
            return Ok(None);
        };
        let read = self.run("read-directory-entry", "", move || Ok(listing::read(directory))).await?;
        let found = self.table().get_mut(&listing)?;
        found.put(read);
        Ok(found.next().transpose()?)
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table().delete(Resource::<Listing>::new_own(stream.rep()))?;
        Ok(())
    }
}

impl Layer<'_> {
    fn writer(&mut self, fd: &Resource<Descriptor>, position: Position) -> FsResult<Resource<DynOutputStream>> {
        let Open { root, held, file } = self.file(fd)?;
        root.writable().map_err(|denied| self.denied("write", "", denied))?;
        let writer: DynOutputStream = Box::new(Writer::new(file, held, position, self.files.writing.clone()));
        Ok(self.table().push(writer)?)
    }
}

/// The time that a file is to bear; `None` for the one that it has.
fn time(given: NewTimestamp) -> Result<Option<SystemTime>, ErrorCode> {
    match given {
        NewTimestamp::NoChange => Ok(None),
        NewTimestamp::Now => Ok(Some(SystemTime::now())),
        NewTimestamp::Timestamp(time) => {
            let seconds = time.seconds.checked_add(u64::from(time.nanoseconds / 1_000_000_000)).ok_or(ErrorCode::Overflow)?;
            let since = std::time::Duration::new(seconds, time.nanoseconds % 1_000_000_000);
            SystemTime::UNIX_EPOCH.checked_add(since).map(Some).ok_or(ErrorCode::Overflow)
        }
    }
}
