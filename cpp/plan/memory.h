#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fastort {

// A piece of the arena and the steps between which it is in use, both ends included.
struct Lifetime {
  size_t bytes = 0;
  int first = 0;
  int last = 0;
  int64_t offset = -1;  // set by plan_memory
};

// Gives every piece an offset so that pieces in use at the same time do not overlap; returns the arena's size. Large
// pieces are placed first, each in the lowest gap that holds it.
size_t plan_memory(std::vector<Lifetime>& pieces);

}  // namespace fastort
