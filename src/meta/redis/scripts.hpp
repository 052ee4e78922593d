#pragma once

#include "net/redis/command.hpp"

/// What runs inside the server. Each script is atomic. Everything is read and checked before the first write; a write
/// that fails all the same, because what is stored is damaged, ends a commit where it stands. So counters come first,
/// then attributes, then what refers to them, and sums that are damaged are passed over.
namespace kiseki::meta::redis {

/// Applies a commit. KEYS: what the client wants to hear of when others change it (on a Cluster: every key).
/// ARGV: slot of the receipt ("" for none); its sequence number; three digits, 1 for yes: the receipts live an hour
/// from now on, KEYS are to be heard of, the commit was sent before; the key of the client's receipts; what all keys
/// begin with; how many attributes and how many counters to read, and their keys; then the steps of `CommitSteps`.
/// Answers "+" and what the writes returned, or "-" and the indexes of the checks that do not hold; both with commas.
const net::redis::Script& commit_script();

/// Whether this server has a commit that was applied, by its receipt. KEYS: the client's receipts. ARGV: slot and
/// sequence number. Answers 1, then it has also written something (the same again), or 0.
const net::redis::Script& receipt_script();

/// Reads several records at one moment. Steps of `FetchPlan`; answers an array with one element per step.
const net::redis::Script& fetch_script();

/// Names of one directory and what they stand for. KEYS: the directory. ARGV: what attribute keys begin with, then the
/// names, a few hundred at most. Answers all entries, then all attributes (nil: none).
const net::redis::Script& look_up_script();

/// A page of a directory. KEYS: the directory. ARGV: cursor, about how many, what attribute keys begin with ("" for
/// names only). Answers the next cursor, then name, entry and attributes (nil: none) of each.
const net::redis::Script& list_script();

/// Those of a file's chunks that exist. KEYS: what their keys begin with. ARGV: first index, one beyond the last.
/// Answers index and records of each.
const net::redis::Script& chunks_script();

/// The same, but answers the indexes alone.
const net::redis::Script& find_chunks_script();

}  // namespace kiseki::meta::redis
