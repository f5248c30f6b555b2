#pragma once
/// \file
/// The core of pepper, whole. Read in the order of the includes: that is the order in which a record travels.

#include <pepper/tags.hpp>                    // what a series is called
#include <pepper/config.hpp>                  // what a collector is told
#include <pepper/detail/record.hpp>           // what is captured: 16 bytes
#include <pepper/detail/capture.hpp>          // how: a few instructions, inlined
#include <pepper/handles.hpp>                 // Counter, Gauge, Summary, Histogram, Timer
#include <pepper/signal_counter.hpp>          // the one for signal handlers
#include <pepper/scoped_timer.hpp>            // RAII over a Timer
#include <pepper/stats.hpp>                   // the ledger
#include <pepper/exemplar.hpp>                // what metadata becomes
#include <pepper/snapshot.hpp>                // what is read back
#include <pepper/record_batch.hpp>            // the records themselves, for who wants them
#include <pepper/subscription.hpp>            // callbacks, for as long as one wants them
#include <pepper/exporter.hpp>                // who takes snapshots out of the process
#include <pepper/collector.hpp>               // the object that owns all of it
#include <pepper/sampling_collector.hpp>      // a share of the records, and estimates
#include <pepper/rate_limited_collector.hpp>  // so many records a second
#include <pepper/batch_collector.hpp>         // a thread's own batch
#include <pepper/aggregating_collector.hpp>   // the numbers of one request, at once
#include <pepper/static_handles.hpp>          // handles of the default collector by name alone
