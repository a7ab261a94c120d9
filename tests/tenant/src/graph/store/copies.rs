//! Copies of drive items on their way, and what their monitors say.

use std::sync::atomic::{AtomicU32, Ordering};

use super::State;

/// What to do when a name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conflict {
    Fail,
    Rename,
    Replace,
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copying {
    Running,
    Done,
    /// With this error code.
    Failed(&'static str),
}

/// A copy of one item with all under it.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) drive: usize,
    /// The new item's number.
    pub(crate) item: u32,
    pub(crate) conflict: Conflict,
    pub(crate) stage: Copying,
    /// The last part of its monitor's address.
    pub(crate) id: String,
    /// How often the monitor was asked.
    polls: AtomicU32,
}

/// So many times a monitor says that the copy is still being made, even when it is done.
const PATIENCE: u32 = 2;

impl Copy {
    pub(crate) fn new(drive: usize, item: u32, conflict: Conflict, id: String) -> Self {
        Self { drive, item, conflict, stage: Copying::Running, id, polls: AtomicU32::new(0) }
    }

    /// What the monitor says when it is asked once more.
    pub(crate) fn ask(&self) -> Copying {
        if self.polls.fetch_add(1, Ordering::Relaxed) < PATIENCE { Copying::Running } else { self.stage }
    }
}

impl State {
    /// Puts a copy where it belongs, or drops it when the name or the folder is not to be had.
    pub(super) fn finish_copy(&mut self, index: usize) {
        let Some(copy) = self.copies.get_mut(index) else {
            return;
        };
        let drive = &mut self.drives[copy.drive];
        let Some((parent, name)) = drive.item(copy.item).map(|item| (item.parent, item.name.clone())) else {
            return;
        };
        let taken = drive.taken(parent, &name, copy.item);
        copy.stage = match copy.conflict {
            _ if drive.item(parent).is_none() => Copying::Failed("itemNotFound"),
            Conflict::Fail if taken => Copying::Failed("nameAlreadyExists"),
            conflict => {
                if let Some(other) = drive.by_path(parent, &name).filter(|_| taken && conflict == Conflict::Replace) {
                    let other = other.number;
                    drive.remove(other);
                }
                drive.place(copy.item);
                Copying::Done
            }
        };
        if copy.stage != Copying::Done {
            drive.discard(copy.item);
        }
    }
}
