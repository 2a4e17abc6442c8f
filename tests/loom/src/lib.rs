//! The program's own modules, compiled with loom's locks; what they only pass on is replaced by something small.

#![allow(dead_code, missing_docs, reason = "only a part of each module is exercised")]

#[path = "../../../src/digest.rs"]
pub mod digest;

#[path = "../../../src/cache"]
pub mod cache {
    pub mod disk {
        pub mod bell;
        pub mod entry;
        pub mod index;
        pub mod ledger;
        pub mod record;

        /// Two shares.
        pub mod shares {
            pub const MAX_SHARES: usize = 2;

            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
            pub struct Share(pub u8);

            impl Share {
                pub const REST: Self = Self(0);

                pub fn index(self) -> usize {
                    usize::from(self.0)
                }
            }
        }

        /// Never read in a model.
        #[derive(Clone)]
        pub struct DiskWriterReader;
    }

    pub mod object {
        pub const CHUNK: usize = 256 << 10;

        /// Stands for the object at rest.
        #[derive(Clone)]
        pub struct Object;
    }

    pub mod fill {
        pub mod state;

        pub const HELD_BACK: u64 = 1;
        pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

        #[derive(Clone, Debug)]
        pub struct FillError;

        pub struct FillKey;
    }
}
