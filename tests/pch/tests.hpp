// What nearly every test includes, parsed once for each program of tests: most of the time that they take to build unoptimised. No test may
// need it: optimised builds do without.
#include <pepper/pepper.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
