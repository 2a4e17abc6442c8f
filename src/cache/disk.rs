//! STUB until merge.
#![allow(missing_docs, clippy::all)]
use std::io; use std::sync::Arc; use bytes::Bytes; use crate::{config, digest::ObjectName, metrics::DiskMetrics};
#[derive(Clone)] pub struct Disk; #[derive(Clone)] pub struct DiskObject; pub struct DiskWriter; #[derive(Clone)] pub struct DiskWriterReader;
#[derive(Debug)] pub enum NotAdmitted { TooLarge } pub enum RemoveReason { Corrupt }
#[derive(Debug, thiserror::Error)] #[error("x")] pub struct ReadError; #[derive(Debug, thiserror::Error)] #[error("x")] pub struct DiskError; #[derive(Debug, thiserror::Error)] #[error("x")] pub struct OpenError;
impl Disk { pub fn open(_: &config::Disk, _: DiskMetrics) -> Result<Disk, OpenError> { Err(OpenError) } pub fn get(&self, _: &ObjectName) -> Option<DiskObject> { None }
 pub fn store(&self, _: ObjectName, _: Arc<[Bytes]>) -> Result<(), NotAdmitted> { Ok(()) } pub fn reserve(&self, _: ObjectName, _: u64) -> Result<DiskWriter, NotAdmitted> { Err(NotAdmitted::TooLarge) }
 pub fn remove(&self, _: &ObjectName, _: RemoveReason) -> bool { false } pub fn flush(&self) {} pub fn close(&self) {} }
impl DiskObject { pub fn len(&self) -> u64 { 0 } pub fn stored_at(&self) -> u32 { 0 } pub fn try_read(&self, _: u64, _: usize) -> Result<Option<Bytes>, ReadError> { Ok(None) } pub fn read(&self, _: u64, _: usize) -> Result<Bytes, ReadError> { Err(ReadError) } }
impl DiskWriter { pub fn reader(&self) -> DiskWriterReader { DiskWriterReader } pub fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> { Ok(()) } pub fn commit(self) -> Result<(), DiskError> { Ok(()) } }
impl DiskWriterReader { pub fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> { Ok(()) } }
