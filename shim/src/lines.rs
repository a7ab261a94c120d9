//! Cuts a byte stream into lines, whatever the chunks; a line over the limit is skipped without being kept.

use bytes::{Buf, Bytes, BytesMut};

/// How much of an over-long line's beginning is kept, to find its id.
const HEAD: usize = 4096;
/// How much of its end is kept: several clients write `"id"` last.
const TAIL: usize = 256;

/// One line of input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line without its newline; never blank.
    Whole(Bytes),
    /// A line over the limit, of which only this is known.
    Oversize(Oversize),
}

/// What is kept of a line over the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oversize {
    /// Its first bytes.
    pub head: Bytes,
    /// Its last bytes.
    pub tail: Bytes,
    /// Its length in bytes, newline excluded.
    pub length: u64,
}

/// The splitter. Fill `buffer`, then call `next_line` until it gives `None`.
#[derive(Debug)]
pub struct Lines {
    /// Where input is appended.
    pub buffer: BytesMut,
    /// Bytes of `buffer` known to hold no newline.
    searched: usize,
    skipping: Option<Skipping>,
    limit: usize,
}

#[derive(Debug)]
struct Skipping {
    head: Bytes,
    tail: BytesMut,
    length: u64,
}

impl Lines {
    /// A splitter that accepts lines of up to `limit` bytes, newline excluded.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, skipping: None, limit }
    }

    /// The next complete line that is not blank.
    pub fn next_line(&mut self) -> Option<Line> {
        loop {
            let newline = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
            let Some(offset) = newline else {
                self.searched = self.buffer.len();
                if self.searched > self.limit || self.skipping.is_some() {
                    self.skip(self.searched);
                }
                return None;
            };
            let end = self.searched + offset;
            let line = self.cut(end);
            self.buffer.advance(1);
            if let Some(line) = line {
                return Some(line);
            }
        }
    }

    /// What stands after the last newline once the stream has ended; `None` when that is nothing or blank.
    pub fn rest(&mut self) -> Option<Line> {
        self.cut(self.buffer.len())
    }

    /// Takes the first `end` bytes as a line, or as the end of the one being skipped.
    fn cut(&mut self, end: usize) -> Option<Line> {
        self.searched = 0;
        if self.skipping.is_some() || end > self.limit {
            self.skip(end);
            let skipped = self.skipping.take()?;
            return Some(Line::Oversize(Oversize { head: skipped.head, tail: skipped.tail.freeze(), length: skipped.length }));
        }
        let line = self.buffer.split_to(end).freeze();
        (!line.iter().all(u8::is_ascii_whitespace)).then_some(Line::Whole(line))
    }

    /// Drops the first `count` bytes into the record of the line being skipped.
    fn skip(&mut self, count: usize) {
        let chunk = &self.buffer[..count];
        let skipping = self.skipping.get_or_insert_with(|| Skipping {
            head: Bytes::copy_from_slice(&chunk[..chunk.len().min(HEAD)]),
            tail: BytesMut::with_capacity(2 * TAIL),
            length: 0,
        });
        skipping.tail.extend_from_slice(&chunk[chunk.len().saturating_sub(TAIL)..]);
        let surplus = skipping.tail.len().saturating_sub(TAIL);
        skipping.tail.advance(surplus);
        skipping.length += count as u64;
        // A new buffer, so that the memory of a huge line is given back.
        self.buffer = BytesMut::from(&self.buffer[count..]);
        self.searched = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(input: &[u8], cuts: &[usize], limit: usize) -> Vec<Line> {
        let mut lines = Lines::new(limit);
        let mut got = Vec::new();
        let mut at = 0;
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
        cuts.sort_unstable();
        for cut in cuts.into_iter().chain([input.len()]) {
            lines.buffer.extend_from_slice(&input[at..cut]);
            at = cut;
            while let Some(line) = lines.next_line() {
                got.push(line);
            }
            assert!(lines.buffer.len() <= limit, "an unfinished line never holds more than the limit");
        }
        got.extend(lines.rest());
        got
    }

    fn expected(input: &[u8], limit: usize) -> Vec<Line> {
        let lines = input.split(|byte| *byte == b'\n');
        lines
            .filter(|line| line.len() > limit || !line.iter().all(u8::is_ascii_whitespace))
            .map(|line| {
                if line.len() <= limit {
                    return Line::Whole(Bytes::copy_from_slice(line));
                }
                Line::Oversize(Oversize {
                    head: Bytes::copy_from_slice(&line[..line.len().min(HEAD)]),
                    tail: Bytes::copy_from_slice(&line[line.len().saturating_sub(TAIL)..]),
                    length: line.len() as u64,
                })
            })
            .collect()
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            input in proptest::collection::vec(prop_oneof![3 => Just(b'\n'), 2 => Just(b' '), 10 => any::<u8>()], 0..400),
            cuts in proptest::collection::vec(any::<usize>(), 0..12),
            limit in 1_usize..60,
        ) {
            let got = all(&input, &cuts, limit);
            let want = expected(&input, limit);
            prop_assert_eq!(got.len(), want.len());
            for (got, want) in got.iter().zip(&want) {
                match (got, want) {
                    // The head may stop at the chunk that passed the limit.
                    (Line::Oversize(got), Line::Oversize(want)) => {
                        prop_assert_eq!((&got.tail, got.length), (&want.tail, want.length));
                        prop_assert!(want.head.starts_with(&got.head) && got.head.len() > limit.min(HEAD) - 1);
                    }
                    _ => prop_assert_eq!(got, want),
                }
            }
        }
    }

    #[test]
    fn a_huge_line_is_not_kept() {
        let mut lines = Lines::new(1000);
        for _ in 0..10_000 {
            lines.buffer.extend_from_slice(&[b'x'; 1000]);
            assert_eq!(lines.next_line(), None);
            assert!(lines.buffer.capacity() < 10_000);
        }
        lines.buffer.extend_from_slice(b"end\nnext\n");
        let Some(Line::Oversize(over)) = lines.next_line() else { panic!("the huge line is reported") };
        assert_eq!((over.length, over.tail.len()), (10_000_003, TAIL));
        assert!(over.tail.ends_with(b"end"));
        assert_eq!(lines.next_line(), Some(Line::Whole(Bytes::from_static(b"next"))));
    }
}
