#pragma once

#include <memory>

#include "ops/op.h"
#include "plan/choices.h"
#include "runtime/options.h"

namespace fastort {

// What a session's options and configuration entries mean for its plans.
struct SessionSettings {
  EngineOptions engine;
  int threads = 1;                   // that a run uses; engine.threads is what plans are made for
  std::unique_ptr<PackStore> packs;  // nullptr: the process's
  KernelChoice choice;
};

// Refuses what fastort does not know or cannot follow.
SessionSettings read_settings(const SessionOptions& options);

}  // namespace fastort
