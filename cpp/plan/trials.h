#pragma once

#include "plan/planning.h"

namespace fastort {

// Puts measured times in the place of estimated costs for nodes that have several options: those that are known, and,
// while the session's time for trials lasts, new ones. The choice by the cost rule has been made; another option is
// preferred to it only where it was clearly faster. False where nothing changed.
bool use_measured_times(Draft& draft);

}  // namespace fastort
