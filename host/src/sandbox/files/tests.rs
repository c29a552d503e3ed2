//! What is counted is what stands there, whatever was done in whatever order.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use proptest::prelude::*;
use wasmtime_wasi::{
    filesystem::Descriptor,
    p2::bindings::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags},
};

use super::{
    Root, Tree, beneath, measure, names, open,
    open::Opened,
    quota::{Held, NAME},
    slots::Slots,
    writer::write_some,
};
use crate::config::Access;

/// Room for 32 names or as many blocks.
const QUOTA: u64 = 32 * NAME;

/// Something done to one of a few names, or to one of a few open files.
#[derive(Clone, Debug)]
enum Step {
    Open { name: usize, making: bool, cutting: bool },
    Close(usize),
    Write { file: usize, at: u64, length: usize },
    Append { file: usize, length: u64 },
    Size { file: usize, size: u64 },
    Make(usize),
    Unmake(usize),
    Remove(usize),
    Rename(usize, usize),
    Link(usize, usize),
    Symlink(usize, usize),
}

const NAMES: [&str; 6] = ["a", "b", "c", "folder", "folder/a", "folder/b"];

fn step() -> impl Strategy<Value = Step> {
    let (name, file) = (0..NAMES.len(), 0usize..4);
    prop_oneof![
        3 => (name.clone(), any::<bool>(), any::<bool>()).prop_map(|(name, making, cutting)| Step::Open { name, making, cutting }),
        2 => file.clone().prop_map(Step::Close),
        3 => (file.clone(), 0u64..QUOTA * 2, 0usize..9000).prop_map(|(file, at, length)| Step::Write { file, at, length }),
        2 => (file.clone(), 0u64..9000).prop_map(|(file, length)| Step::Append { file, length }),
        2 => (file, 0u64..QUOTA * 2).prop_map(|(file, size)| Step::Size { file, size }),
        1 => name.clone().prop_map(Step::Make),
        1 => name.clone().prop_map(Step::Unmake),
        2 => name.clone().prop_map(Step::Remove),
        2 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Link(from, to)),
        1 => (name.clone(), name).prop_map(|(from, to)| Step::Symlink(from, to)),
    ]
}

fn root(folder: &tempfile::TempDir, quota: u64) -> Arc<Root> {
    let directory = beneath::open_real(&folder.path().canonicalize().unwrap()).unwrap();
    let tree = Arc::new(Tree::new(Some(quota)));
    Arc::new(Root { directory: directory.into(), guest: "/x".into(), access: Access::ReadWrite, tree })
}

/// Does it, whether or not it comes off.
fn does(root: &Arc<Root>, files: &mut Vec<(Arc<File>, Option<Arc<Held>>)>, step: &Step) {
    let at = &*root.directory;
    let picked = |file: &usize| if files.is_empty() { None } else { files.get(file % files.len()).cloned() };
    match step {
        Step::Open { name, making, cutting } => {
            let flag = |set: &bool, flag: OpenFlags| if *set { flag } else { OpenFlags::empty() };
            let how = flag(making, OpenFlags::CREATE) | flag(cutting, OpenFlags::TRUNCATE);
            let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
            let opened: Result<Opened, _> = open::open(root, at, PathFlags::SYMLINK_FOLLOW, NAMES[*name], how, flags);
            if let Ok((Descriptor::File(file), held)) = opened {
                files.push((file.file, held));
            }
        }
        Step::Close(file) if !files.is_empty() => {
            files.remove(file % files.len());
        }
        Step::Close(_) => {}
        Step::Write { file, at, length } => {
            if let Some((file, held)) = picked(file) {
                let _written = write_some(&file, held.as_ref(), *at, &vec![1; *length]);
            }
        }
        Step::Append { file, length } => {
            if let Some((file, held)) = picked(file)
                && let Ok(growing) = held.unwrap().append(*length)
            {
                let end = file.metadata().unwrap().len();
                file.set_len(end + length).unwrap();
                drop(growing);
            }
        }
        Step::Size { file, size } => {
            if let Some((file, Some(held))) = picked(file)
                && let Ok(growing) = held.grow(*size)
            {
                file.set_len(*size).unwrap();
                drop(growing);
                held.settle();
            }
        }
        Step::Make(name) => drop(names::make_directory(root, at, NAMES[*name])),
        Step::Unmake(name) => drop(names::remove_directory(root, at, NAMES[*name])),
        Step::Remove(name) => drop(names::remove_file(root, at, NAMES[*name])),
        Step::Rename(from, to) => drop(names::rename((root, at, NAMES[*from]), (root, at, NAMES[*to]))),
        Step::Link(from, to) => drop(names::link((root, at, NAMES[*from]), (root, at, NAMES[*to]))),
        Step::Symlink(target, name) => drop(names::symlink(root, at, NAMES[*target], NAMES[*name])),
    }
}

proptest! {
    #[test]
    fn what_is_counted_is_what_stands_there(steps in prop::collection::vec(step(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let root = root(&folder, QUOTA);
        let quota = root.tree.quota.clone().unwrap();
        let mut files = Vec::new();
        for step in &steps {
            does(&root, &mut files, step);
            let stands = measure::bytes(&root.directory, |_| false);
            prop_assert!(stands <= QUOTA, "{step:?}: {stands}");
            prop_assert!(stands <= quota.used(), "{step:?}: {stands}");
        }
        files.clear();
        prop_assert_eq!(measure::bytes(&root.directory, |_| false), quota.used());
    }
}

#[test]
fn many_at_once_do_not_pass_a_quota_together() {
    let folder = tempfile::tempdir().unwrap();
    let root = root(&folder, QUOTA);
    thread::scope(|scope| {
        for number in 0..4u64 {
            let root = &root;
            scope.spawn(move || {
                let mut files = Vec::new();
                for round in 0..200 {
                    let name = ((number + round) % 3) as usize;
                    does(root, &mut files, &Step::Open { name, making: true, cutting: round % 5 == 0 });
                    does(root, &mut files, &Step::Write { file: 0, at: round * 700, length: 8000 });
                    does(root, &mut files, &Step::Size { file: 1, size: (round * 977) % QUOTA });
                    does(root, &mut files, &Step::Link(name, 3));
                    does(root, &mut files, &Step::Rename(name, 2));
                    does(root, &mut files, &Step::Remove((round % 4) as usize));
                    if round % 3 == 0 {
                        files.clear();
                    }
                }
            });
        }
    });
    let quota = root.tree.quota.clone().unwrap();
    let stands = measure::bytes(&root.directory, |_| false);
    assert!(stands <= QUOTA && stands == quota.used(), "{stands} of {}", quota.used());
}

#[tokio::test]
async fn an_instance_keeps_few_threads_and_gives_them_back_when_they_are_free() {
    let slots = Slots::default();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut running = Vec::new();
    for _ in 0..40 {
        let (slots, now, most) = (slots.clone(), now.clone(), most.clone());
        running.push(tokio::spawn(async move {
            let work = move || {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                thread::sleep(Duration::from_millis(5));
                now.fetch_sub(1, SeqCst);
            };
            slots.run(work).await.unwrap();
        }));
    }
    // Those that were given up keep their place until the thread is free.
    for given_up in running.iter().step_by(3) {
        given_up.abort();
    }
    for one in running {
        let _aborted = one.await;
    }
    let _all = (slots.take().await, slots.take().await, slots.take().await, slots.take().await);
    assert_eq!((most.load(SeqCst) <= 4, now.load(SeqCst)), (true, 0));
}
