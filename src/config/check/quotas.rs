//! What `[[quotas]]` may not say together, and what in them is suspicious.

use super::super::error::Place;
use super::super::keys::{self, quotas as key};
use super::super::quantity::exact_size;
use super::super::units::ByteSize;
use super::super::{Config, Disk, MAX_QUOTAS, Quota};
use super::Findings;

/// Contradictions.
pub(super) fn contradictions(config: &Config, found: &mut Findings) {
    let Some(disk) = &config.disk else { return };
    for (i, quota) in disk.quotas.iter().enumerate() {
        one(i, quota, disk, found);
        if disk.quotas[..i].iter().any(|earlier| earlier.repository == quota.repository) {
            let message = format!("\"{}\" has an earlier entry", quota.repository.as_str());
            found.at(Place::nth(&key::REPOSITORY, i), message);
        }
    }
    if disk.quotas.len() > MAX_QUOTAS {
        let message = format!("these are more than {MAX_QUOTAS} entries");
        found.at(Place::nth(&key::REPOSITORY, MAX_QUOTAS), message);
    }
    let promised = promised(disk);
    let room = disk.objects();
    if promised > room.bytes()
        && let Some(last) = disk.quotas.iter().rposition(|quota| promised_to(quota) > 0)
    {
        let (sum, room) = (exact_size(ByteSize(promised)), room_of(disk));
        let message =
            format!("all floors, and the ceilings of what is pinned, are {sum} together, more than {room}");
        let place = if disk.quotas[last].pin { &key::CEILING } else { &key::FLOOR };
        found.between(Place::nth(place, last), &keys::disk::CAPACITY, message);
    }
}

fn one(i: usize, quota: &Quota, disk: &Disk, found: &mut Findings) {
    let (floor, ceiling) = (Place::nth(&key::FLOOR, i), Place::nth(&key::CEILING, i));
    match quota.ceiling {
        Some(most) if most < quota.floor => {
            let (most, least) = (exact_size(most), exact_size(quota.floor));
            found.between(ceiling, floor, format!("{most} is less than the floor ({least})"));
        }
        Some(most) if most > disk.objects() => {
            let message = format!("{} is more than {}", exact_size(most), room_of(disk));
            found.between(ceiling, &keys::disk::CAPACITY, message);
        }
        None if quota.pin => {
            let message = "without a ceiling what is pinned would in time take the whole disk".to_owned();
            found.between(Place::nth(&key::PIN, i), ceiling, message);
        }
        Some(_) | None => {}
    }
    if quota.pin && quota.floor.bytes() > 0 {
        let message = "what is pinned is kept up to its ceiling; leave the floor out".to_owned();
        found.between(floor, Place::nth(&key::PIN, i), message);
    }
}

/// What objects can get, for a message.
fn room_of(disk: &Disk) -> String {
    let (room, capacity, documents) = (disk.objects(), disk.capacity, disk.documents);
    format!("objects can have ({room}: the capacity, {capacity}, less documents, {documents})")
}

fn promised(disk: &Disk) -> u64 {
    disk.quotas.iter().fold(0, |sum: u64, quota| sum.saturating_add(promised_to(quota)))
}

/// What nobody else can have.
fn promised_to(quota: &Quota) -> u64 {
    match quota.ceiling {
        Some(ceiling) if quota.pin => ceiling.bytes(),
        _ => quota.floor.bytes(),
    }
}

/// What is valid but hardly meant.
pub(super) fn warnings(config: &Config, found: &mut Findings) {
    let Some(disk) = &config.disk else { return };
    for (i, quota) in disk.quotas.iter().enumerate() {
        let pattern = quota.repository.as_str();
        let covers = |earlier: &&Quota| earlier.repository.matches(pattern);
        if let Some(earlier) = disk.quotas[..i].iter().find(covers) {
            let message = format!(
                "no object counts for \"{pattern}\", because \"{}\" above it matches all of them",
                earlier.repository.as_str()
            );
            found.at(Place::nth(&key::REPOSITORY, i), message);
        } else if !pattern.contains(['.', '*']) {
            let message =
                format!("\"{pattern}\" is not the full name of a repository, such as \"{pattern}.cern.ch\"");
            found.at(Place::nth(&key::REPOSITORY, i), message);
        }
    }
    let promised = promised(disk);
    let room = disk.objects().bytes();
    if promised <= room && promised > room - room / 10 {
        let rest = ByteSize(room - promised);
        let message = format!("floors and pins leave {rest} to all other repositories");
        found.between(&key::FLOOR, &keys::disk::CAPACITY, message);
    }
}
