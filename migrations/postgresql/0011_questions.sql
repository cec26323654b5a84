-- What an event asks beyond the usual, and what was answered: lines of text (questions.h).
ALTER TABLE events ADD COLUMN questions TEXT NOT NULL DEFAULT '';
ALTER TABLE registrations ADD COLUMN answers TEXT;
