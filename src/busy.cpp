#include "busy.hpp"

namespace pepper::detail {

constinit std::uint32_t Busy::this_process = 0;
constinit thread_local Busy::Hold* Busy::innermost = nullptr;

void Busy::Hold::begin() noexcept {
  busy_.thread_ = std::this_thread::get_id();
  busy_.process_ = this_process;
  outer_ = innermost;
  innermost = this;
}

void Busy::Hold::end() noexcept {
  busy_.thread_ = {};
  innermost = outer_;
}

void Busy::start_over() noexcept {
  ++this_process;
  for (const Hold* hold = innermost; hold != nullptr; hold = hold->outer_) hold->busy_.process_ = this_process;
}

}  // namespace pepper::detail
