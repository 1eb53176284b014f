// Where new rows stand behind a past whose length is data.
#ifndef COMMON_PAST
#define COMMON_PAST

#include "common/base.glsl"

// The past has 0: a known number of rows, 1: as many as one number says, 2: for each sequence, a number that counts the new
// rows too, less one; 3: no rows, and that number may leave out some of the new ones.
layout(constant_id = 0) const uint kPast = 0;

// Rows in front of the new ones.
int past_before(Integers lengths, uint batch, int known, int fresh) {
  if (kPast == 1) return lengths.at[0];
  if (kPast == 2) return lengths.at[batch] + 1 - fresh;
  return kPast == 3 ? 0 : known;
}

// Rows with the new ones.
int rows_in_all(Integers lengths, uint batch, int known, int fresh) {
  if (kPast == 3) return lengths.at[batch] + 1;
  return past_before(lengths, batch, known, fresh) + fresh;
}

#endif
