//! What the demo has shown: a table of counted numbers, sentences about them, and the verdict.

use std::io::{self, Write};

use super::figures::{bytes, count, plural, time};
use super::image::Extent;
use super::paint::Paint;
use super::wave::Wave;
use crate::outcome::Outcome;

/// Columns of the table: the first one, and each of the others.
const WIDTHS: (usize, usize) = (46, 16);

/// Whether the tier kept what it promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No wrong byte, nothing missing, nothing fetched twice.
    Kept,
    /// The report says what went wrong.
    Broken,
}

/// Everything that was counted.
pub struct Report {
    /// Simulated jobs in each wave.
    pub jobs: u64,
    /// The first revision of the image.
    pub image: Extent,
    /// What the second one brought.
    pub update: Extent,
    /// Empty caches.
    pub cold: Wave,
    /// The same again.
    pub warm: Wave,
    /// The second revision, with failing strata.
    pub faults: Wave,
}

/// A line of the table: a heading, or a number for each wave.
enum Row {
    Heading(&'static str),
    Numbers(String, [String; 3], Mark),
}

/// How a line is emphasised.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    /// What the demo is about.
    Good,
    Bad,
}

impl Report {
    /// Every promise that was broken, as a sentence.
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (name, wave) in ["first", "second", "third"].iter().zip(self.waves()) {
            let jobs = &wave.jobs;
            if jobs.wrong > 0 {
                broken.push(format!(
                    "in the {name} wave, {} ended well with wrong bytes",
                    plural(jobs.wrong, "answer")
                ));
            }
            if jobs.failed > 0 {
                broken.push(format!("in the {name} wave, {} failed finally", plural(jobs.failed, "request")));
            }
        }
        let repeated = self.warm.sent_by_all().objects;
        if repeated > 0 {
            broken.push(format!(
                "in the second wave, {} for objects reached a stratum",
                plural(repeated, "request")
            ));
        }
        broken
    }

    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        if self.broken().is_empty() { Verdict::Kept } else { Verdict::Broken }
    }

    /// Writes table, sentences and verdict; at most 100 columns.
    pub fn write(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let (first, other) = WIDTHS;
        let titles = ["1 cold", "2 warm", "3 faults"].map(|title| format!("{title:>other$}"));
        writeln!(out, "\n{}", paint.bold(format!("{:first$}{}", "What was counted", titles.concat())))?;
        for row in self.rows() {
            match row {
                Row::Heading(text) => writeln!(out, "{}", paint.dim(text))?,
                Row::Numbers(label, numbers, mark) => {
                    let numbers = numbers.map(|number| format!("{number:>other$}")).concat();
                    let numbers = match mark {
                        Mark::None => numbers,
                        Mark::Good => paint.good(numbers),
                        Mark::Bad => paint.bad(numbers),
                    };
                    writeln!(out, "  {label:<width$}{numbers}", width = first - 2)?;
                }
            }
        }
        writeln!(out, "\n{}", paint.bold("What it shows"))?;
        for sentence in self.sentences() {
            writeln!(out, "  {sentence}")?;
        }
        writeln!(out)?;
        let broken = self.broken();
        for sentence in &broken {
            writeln!(out, "{} {sentence}", paint.bad("BROKEN:"))?;
        }
        if broken.is_empty() {
            let verdict = "As it should be: no wrong byte, no request failed, no stratum asked for what was cached already.";
            writeln!(out, "{}", paint.good(verdict))?;
        }
        out.flush()
    }

    fn waves(&self) -> [&Wave; 3] {
        [&self.cold, &self.warm, &self.faults]
    }

    fn rows(&self) -> Vec<Row> {
        use Outcome::{
            Collapsed, DiskHit, DocumentCollapsed, DocumentHit, DocumentMiss, DocumentRevalidated,
            DocumentStale, MemoryHit, Miss, Reload, Repair,
        };
        let row = |label: &str, number: &dyn Fn(&Wave) -> String| {
            Row::Numbers(label.to_owned(), self.waves().map(number), Mark::None)
        };
        let nothing = |label: &str, number: &dyn Fn(&Wave) -> u64| {
            let numbers = self.waves().map(number);
            let mark = if numbers == [0; 3] { Mark::Good } else { Mark::Bad };
            Row::Numbers(label.to_owned(), numbers.map(count), mark)
        };
        let answers = [
            ("from memory", &[MemoryHit, Reload][..]),
            ("from disk", &[DiskHit]),
            ("collapsed: joined a transfer under way", &[Collapsed]),
            ("missed: fetched from the next cache up", &[Miss, Repair]),
        ];
        let documents = [DocumentHit, DocumentMiss, DocumentCollapsed, DocumentRevalidated, DocumentStale];
        let mut rows = vec![
            Row::Heading("Jobs asked their node's cache"),
            row("answers", &|wave| count(wave.jobs.requests)),
            row("bytes", &|wave| bytes(wave.jobs.bytes)),
            row("time", &|wave| time(wave.elapsed)),
            Row::Heading("Node caches answered"),
        ];
        rows.extend(answers.map(|(label, of)| row(label, &|wave| count(wave.counts.nodes.of(of)))));
        rows.push(row("manifests", &|wave| count(wave.counts.nodes.of(&documents))));
        rows.push(Row::Heading("Site cache answered"));
        rows.extend(answers.map(|(label, of)| {
            let label = label.replace("the next cache up", "a stratum");
            row(&label, &|wave| count(wave.counts.site.of(of)))
        }));
        rows.push(row("manifests", &|wave| count(wave.counts.site.of(&documents))));
        rows.push(Row::Heading("Strata were asked by the site cache"));
        rows.push(row("objects sent", &|wave| count(wave.sent_by_all().objects)));
        rows.push(row("bytes sent", &|wave| bytes(wave.sent_by_all().bytes)));
        for stratum in 0..self.cold.sent.len() {
            rows.push(row(&format!("objects sent by stratum {}", stratum + 1), &|wave| {
                count(wave.sent[stratum].objects)
            }));
        }
        rows.push(row("wrong answers sent", &|wave| count(wave.sent_by_all().corrupt)));
        for stratum in 0..self.cold.sent.len() {
            if self.waves().iter().any(|wave| wave.counts.strata[stratum].caught > 0) {
                rows.push(row(
                    &format!("of stratum {} recognised by their checksum", stratum + 1),
                    &|wave| count(wave.counts.strata[stratum].caught),
                ));
            }
        }
        rows.extend([
            Row::Heading("Jobs experienced"),
            row("objects that match their name", &|wave| count(wave.jobs.verified)),
            row("first byte after, median", &|wave| time(wave.first_byte.p50)),
            row("first byte after, 99 of 100", &|wave| time(wave.first_byte.p99)),
            row("first byte after, at most", &|wave| time(wave.first_byte.max)),
            row("later than 5 s, when clients leave", &|wave| count(wave.jobs.late)),
            row("asked again after an error", &|wave| count(wave.jobs.repeated)),
            nothing("requests that failed finally", &|wave| wave.jobs.failed),
            nothing("answers with wrong bytes", &|wave| wave.jobs.wrong),
        ]);
        rows
    }

    /// The numbers in words, for whoever reads no tables.
    fn sentences(&self) -> Vec<String> {
        let Self { jobs, image, update, cold, warm, faults } = self;
        let (asked, again, bad) = (cold.sent_by_all(), warm.sent_by_all(), faults.sent_by_all());
        let once = if asked.objects == image.objects {
            format!("each of the {} once", count(image.objects))
        } else {
            format!("{} for the {} there are", count(asked.objects), count(image.objects))
        };
        // The site cache keeps away from a stratum it has caught.
        let spared = match update.objects.saturating_sub(faults.sent[0].objects) {
            0 => String::new(),
            n => format!(", for {} at once", plural(n, "object")),
        };
        let waves = self.waves();
        let sum = |of: fn(&Wave) -> u64| waves.iter().map(|wave| of(wave)).sum::<u64>();
        let late = sum(|wave| wave.jobs.late);
        let longest = waves.map(|wave| wave.first_byte.max).into_iter().max().unwrap_or_default();
        let mut said = vec![
            format!(
                "{} read {} objects ({}) through empty caches.",
                plural(*jobs, "job"),
                count(cold.jobs.verified),
                bytes(cold.jobs.bytes)
            ),
            format!("    The strata sent {once}: {}.", bytes(asked.bytes)),
            format!(
                "As many new jobs read the same again. The strata were asked for {}.",
                plural(again.objects, "object")
            ),
            format!(
                "Revision 2 brought {}. Stratum 1 sent {}, stratum 2 was killed.",
                plural(update.objects, "new object"),
                plural(bad.corrupt, "wrong answer"),
            ),
            format!(
                "    The site cache recognised {} of {} by the checksum and asked elsewhere{spared}.",
                count(faults.caught()),
                count(bad.corrupt)
            ),
        ];
        if faults.jobs.repeated > 0 {
            said.push(format!(
                "    {} broke off and had to be asked again: large objects are passed on as they come,",
                plural(faults.jobs.repeated, "answer")
            ));
            said.push("    and end short of their length when they prove wrong.".to_owned());
        }
        said.push(format!(
            "The longest wait for a first byte was {}; {} waited for more than 5 s, when clients leave.",
            time(longest),
            if late == 0 { "nobody".to_owned() } else { plural(late, "request") },
        ));
        said
    }
}
