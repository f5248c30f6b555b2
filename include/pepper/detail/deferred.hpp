#pragma once

#include <concepts>
#include <type_traits>

namespace pepper::detail {

/// A function that is asked for a T where one is wanted; nothing that is a T itself.
template <class F, class T>
concept Gives = std::invocable<F&> && std::convertible_to<std::invoke_result_t<F&>, T> && !std::convertible_to<F, T>;

}  // namespace pepper::detail
