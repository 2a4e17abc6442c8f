//! Why a request was no plain hit, in one word: shared by `Cache-Status`, the access log, the metrics and `explain`.
//!
//! One flat list: a word, what it means, what to do. Parts that decide keep enums of their own, to match on; each of
//! these tells its `reason()`. `docs/reference.md` is written from here.

/// Which kind of answer a reason belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Answered well, but not from the caches alone.
    Missed,
    /// A document was fetched, and will be fetched again next time.
    NotKept,
    /// An older copy was sent.
    Stale,
    /// Turned away here; nobody was asked.
    Refused,
    /// No answer could be had, or it could not be finished.
    Failed,
}

macro_rules! reasons {
    ($($class:ident { $($name:ident $word:literal: $meaning:literal, $action:literal;)+ })+) => {
        /// Why.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[doc = $meaning] $name,)+)+
        }

        impl Reason {
            /// Every reason, in the order of declaration.
            pub const ALL: [Self; [$($(Self::$name,)+)+].len()] = [$($(Self::$name,)+)+];

            /// A stable word.
            pub const fn as_str(self) -> &'static str {
                match self { $($(Self::$name => $word,)+)+ }
            }

            /// What it means: a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $($(Self::$name => $meaning,)+)+ }
            }

            /// What an operator does about it: a sentence.
            pub const fn action(self) -> &'static str {
                match self { $($(Self::$name => $action,)+)+ }
            }

            /// Its kind.
            pub const fn class(self) -> Class {
                match self { $($(Self::$name => Class::$class,)+)+ }
            }
        }
    };
}

reasons! {
    Missed {
        Absent "absent":
            "It is not stored, and nothing is known of an earlier copy.",
            "Nothing: new software, or a first question.";
        Evicted "evicted":
            "It was on disk, and went to make room before anybody asked for it again.",
            "Many of them: more is in use than fits. Raise `[disk] capacity`.";
        IndexLoading "index_loading":
            "The index of the last run is still being read, so a stored copy may not be found yet.",
            "Wait until `substratum_disk_index_loaded` is 1; if it stays 0, the disk is very slow.";
        DiskPassedOver "disk_passed_over":
            "The disk failed several times in a row and is not read for a while.",
            "Check the disk; see the alert SubstratumDiskTrouble.";
        Damaged "damaged":
            "The stored bytes had gone bad or could not be read in time; they were fetched anew.",
            "More than a few: check the disk and the memory.";
        Expired "expired":
            "The stored document has outlived its lifetime.",
            "Nothing. `[[documents]]` can give documents another lifetime.";
        OtherVariant "other_variant":
            "The document is stored, but for requests with other fields (`Vary`).",
            "Nothing, unless there are many: then its server varies it too finely.";
        Demanded "demanded":
            "The request itself demands a newer answer than the stored one (`no-cache`, `max-age`, ...).",
            "Many of them: look in the access log who sends such requests.";
        Head "head":
            "HEAD for something that is not stored is passed on, and nothing is kept.",
            "Nothing: replication asks like this.";
        Range "range":
            "A part of a document that is not stored is passed on, and nothing is kept.",
            "Nothing.";
        Part "part":
            "A part of a document was fetched and is kept, if all of it comes.",
            "Nothing.";
        Change "change":
            "The method may change what it names, and is passed on (`[access] methods`).",
            "Nothing.";
        Invalidated "invalidated":
            "The method may have changed what it names: stored copies of that were forgotten.",
            "Nothing.";
        Conditional "conditional":
            "The request has conditions that only the origin can judge.",
            "Nothing.";
        SlowBody "slow_body":
            "The document comes too slowly to be waited for, and is sent on while it arrives.",
            "Look for a slow upstream.";
    }
    NotKept {
        RequestNoStore "request_no_store":
            "The request said `no-store`.",
            "Look in the access log who sends such requests.";
        NoStore "no_store":
            "The answer said `no-store`.",
            "Only its server can change that.";
        Private "private":
            "The answer said `private`.",
            "Only its server can change that.";
        Authorization "authorization":
            "The request carried credentials, and the answer does not say that it may be shared.",
            "Only its server can change that.";
        Status "status":
            "An answer with this status is not kept.",
            "Look why its server answers so.";
        NoLifetime "no_lifetime":
            "The answer has no lifetime, and its status none of its own.",
            "Only its server can change that.";
        NoUse "no_use":
            "The answer was stale on arrival, and there is nothing to validate it by.",
            "`[[documents]]` can give it a lifetime.";
        Vary "vary":
            "The answer said `Vary: *`.",
            "Only its server can change that.";
        TooLarge "too_large":
            "The document is larger than `[memory] max_document`.",
            "Raise it, if there is memory for it.";
        NoRoom "no_room":
            "Too many documents were on their way at once.",
            "Raise `[memory] documents`.";
    }
    Stale {
        StaleWhileRevalidate "stale_while_revalidate":
            "An old copy was sent at once while a new one is fetched.",
            "Nothing.";
        StaleIfError "stale_if_error":
            "An old copy was sent because no upstream could answer.",
            "Look at the upstreams; see the alert SubstratumStaleDocuments.";
        OlderManifest "older_manifest":
            "The upstream sent an older manifest than one seen before; the newer one was sent instead.",
            "That stratum lags behind its peers: tell its operators if it stays so.";
    }
    Refused {
        ClientNotAllowed "client_not_allowed":
            "The client's address is in none of the networks that may ask.",
            "`clients` in [access] lists them.";
        KindNotServed "kind_not_served":
            "URLs of this kind are not served.",
            "`targets` in [access] lists the kinds.";
        RegistryNotServed "registry_not_served":
            "The registry that the request names (`?ns=`) is not known.",
            "`[[registries]]` lists them under the names that clients use.";
        HostNotAllowed "host_not_allowed":
            "The host that the request names may not be asked.",
            "`hosts` in [access] lists patterns, `[[mirrors]]` servers.";
        PortNotAllowed "port_not_allowed":
            "The port that the request names may not be asked.",
            "`ports` in [access] lists them.";
        TunnelNotAllowed "tunnel_not_allowed":
            "The request wants a tunnel to a server to which none may be opened.",
            "`connect` in [access] lists the servers.";
        InternalAddress "internal_address":
            "The host has an address that is not part of the public internet.",
            "`internal_hosts` in [access] lists the hosts that may have one.";
        OwnAddress "own_address":
            "The request asks this cache to ask itself.",
            "Mend the client: it names the cache as the server.";
        Malformed "malformed":
            "The head of the request is ambiguous or breaks the rules.",
            "The text of the answer, or `REFUSED` in the access log, tells what; look who sends it.";
        TargetTooLong "target_too_long":
            "The URL is longer than `[listen] max_target`.",
            "Raise it, if the client is right.";
        HeadTooLong "head_too_long":
            "The head of the request is longer than `[listen] max_head`.",
            "Raise it, if the client is right.";
        TooManyFields "too_many_fields":
            "The request has more than 100 fields.",
            "Look who sends it.";
        Expectation "expectation":
            "The request expects something that nobody can meet.",
            "Look who sends it.";
        Method "method":
            "Neither GET nor HEAD.",
            "Send such requests elsewhere; look who sends them.";
        Circle "circle":
            "The request came through this cache before.",
            "Two caches name each other as parents: mend one of them.";
        Overload "overload":
            "More is asked for than can be done in time: downloads, waiting requests, connections or files are used up, here or \
             in the only cache that may be asked.",
            "See the alert SubstratumOverloaded; the text of the answer names the limit.";
        OnlyIfCached "only_if_cached":
            "It is not stored, and the request forbids to fetch it.",
            "Nothing: the client wants it so.";
    }
    Failed {
        NotFound "not_found":
            "Every source says that it does not have it.",
            "Nothing: a stratum is not up to date yet, or the client asks for what was removed.";
        Unavailable "unavailable":
            "No source could be reached, or all answered with errors.",
            "See the alert SubstratumUpstreamsFail.";
        TooSlow "too_slow":
            "No source answered in time.",
            "Look at the upstreams and the way to them; a nearer one first.";
        Forbidden "forbidden":
            "No source may be asked: no group of `[[mirrors]]` serves the repository, or `[access]` forbids every address.",
            "`substratum explain URL` tells which.";
        Corrupt "corrupt":
            "Every source sent bytes that do not match the name.",
            "See the alert SubstratumCorruptUpstream: the log names the servers.";
        WrongLength "wrong_length":
            "The source sent more or fewer bytes than it had announced.",
            "`substratum_upstream_requests_total` names the server.";
        ServerError "server_error":
            "The source answered with an error of its own.",
            "`substratum_upstream_requests_total` names the server.";
        ForeignNotModified "foreign_not_modified":
            "The source confirmed something that is not stored here.",
            "A cache further up is confused: tell its operators.";
        BadManifest "bad_manifest":
            "The source sent a manifest or a whitelist that does not match its own checksum.",
            "See the alert SubstratumDamagedManifests.";
        Abandoned "abandoned":
            "The download was given up, since nobody waited for it any more or the program is stopping.",
            "Nothing.";
        Overrun "overrun":
            "The client was too slow for an object that is kept nowhere.",
            "With a disk tier that takes objects of this size, slow clients hold up nobody.";
        Storage "storage":
            "Our own storage failed while the answer depended on it.",
            "Check the disk; see the alert SubstratumDiskTrouble.";
        Interrupted "interrupted":
            "The fetch was broken off without a result, as at a stop.",
            "Nothing.";
    }
}

impl Reason {
    /// The reason of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_are_distinct_and_fit_everywhere() {
        let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            let word = reason.as_str();
            // A token of RFC 8941, and nothing that JSON or Prometheus would escape.
            assert!(word.bytes().all(|c| c.is_ascii_lowercase() || c == b'_'), "{word}");
            assert_eq!(Reason::from_word(word), Some(reason));
            for sentence in [reason.meaning(), reason.action()] {
                assert!(sentence.ends_with('.') && !sentence.contains('|'), "{sentence}");
            }
        }
        assert_eq!(Reason::from_word("denied"), None);
    }
}
