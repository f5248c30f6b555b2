#pragma once

#include "demo_errors.hpp"
#include "demo_job.hpp"

#include <pepper/pepper.hpp>

#include <string>

namespace demo {

/// The first few errors by name, for stderr; empty if there are none.
[[nodiscard]] std::string error_text(const ErrorLog& errors);

/// How long blocks took, drawn as bars; empty if there was none.
[[nodiscard]] std::string block_times_text(const pepper::Snapshot& snapshot);

/// The ledger of the snapshot: recorded = aggregated + pending + dropped, and what was lost why.
[[nodiscard]] std::string ledger_text(const pepper::CollectorStats& ledger);

/// The job's own result. Lines of a word and its values, to be read by people and by awk.
[[nodiscard]] std::string result_text(const JobResult& result, std::uint64_t errors, unsigned threads, double seconds);

/// What in the snapshot contradicts itself or the job's own counts, a line each; empty if all agrees.
[[nodiscard]] std::string contradictions(const pepper::Snapshot& snapshot, const JobResult& result, std::uint64_t errors);

/// The digest in 16 hexadecimal digits.
[[nodiscard]] std::string digest_text(std::uint64_t digest);

}  // namespace demo
