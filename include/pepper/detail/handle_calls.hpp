#pragma once

#include <chrono>

namespace pepper::detail {

// What a handle, or one that a layer wraps it in, can be told.

template <class Handle>
concept Adds = requires(const Handle& handle) {
  handle.add(1.0);
};
template <class Handle>
concept Sets = requires(const Handle& handle) {
  handle.set(1.0);
};
template <class Handle>
concept Records = requires(const Handle& handle) {
  handle.record(1.0);
};
template <class Handle>
concept Times = requires(const Handle& handle, std::chrono::steady_clock::duration duration) {
  handle.record(duration);
};

}  // namespace pepper::detail
