\set number random(1, 10000)
INSERT INTO entry (number) VALUES (:number);
