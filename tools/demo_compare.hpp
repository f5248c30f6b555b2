#pragma once

#include "demo_errors.hpp"
#include "demo_walk.hpp"

namespace demo {

/// Hashes `tree` with and without pepper, interleaved, and prints what pepper costs. What cannot be read goes to
/// `errors` once. False: the digests differ. Throws std::bad_alloc,
/// std::system_error.
[[nodiscard]] bool compare(const Tree& tree, unsigned threads, unsigned rounds, ErrorLog& errors);

}  // namespace demo
