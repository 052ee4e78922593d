#pragma once

#include "net/redis/command.hpp"

/// What runs inside the server. Each script is atomic; a script that fails has changed nothing, because everything is
/// read and checked before the first write.
namespace kiseki::meta::redis {

/// Applies a commit. KEYS[1]: the client's receipts; then, in order, the keys of each step.
/// ARGV: slot of the receipt ("" for none), sequence number, "1" to let the receipts live an hour from now on, "1" to
/// hear of what others do to the written keys ("" not); then the steps of `CommitSteps`.
/// Answers "+" and what the writes returned, or "-" and the indexes of the checks that do not hold; both with commas.
const net::redis::Script& commit_script();

/// Reads several records at one moment. Steps of `FetchPlan`; answers an array with one element per step.
const net::redis::Script& fetch_script();

/// A page of a directory. KEYS: the directory. ARGV: cursor, about how many, what attribute keys begin with ("" for
/// names only). Answers the next cursor, then name, entry and attributes (nil: none) of each.
const net::redis::Script& list_script();

/// Those of a file's chunks that exist. ARGV: what their keys begin with, first index, one beyond the last. Answers
/// index and records of each.
const net::redis::Script& chunks_script();

}  // namespace kiseki::meta::redis
