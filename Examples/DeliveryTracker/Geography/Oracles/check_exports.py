"""Reads the exports of the test suite with gpxpy and shapely. See README.md."""

import json
import sys
from pathlib import Path

import gpxpy
from shapely.geometry import shape

folder = Path(sys.argv[1])
for path in sorted(folder.glob("*.gpx")):
    gpx = gpxpy.parse(path.read_text())
    assert gpx.version == "1.1" and gpx.creator, path
    segments = [s for t in gpx.tracks for s in t.segments]
    points = [p for s in segments for p in s.points]
    assert all(p.time and -180 <= p.longitude < 180 and -90 <= p.latitude <= 90 for p in points), path
    print(path.name, repr(gpx.tracks[0].name), len(segments), "segments", len(points), "points", gpx.length_2d(), "m")
for path in sorted(folder.glob("*.geojson")):
    feature = json.loads(path.read_text())
    assert feature["type"] == "Feature", path
    if feature["geometry"] is None:
        print(path.name, "no geometry")
        continue
    geometry = shape(feature["geometry"])
    assert geometry.bounds[0] >= -180 and geometry.bounds[2] <= 180, path

    def counts(value, depth):
        return len(value) if depth == 1 else [counts(v, depth - 1) for v in value]

    depth = 1 if geometry.geom_type == "LineString" else 2
    assert counts(feature["geometry"]["coordinates"], depth) == counts(feature["properties"]["coordTimes"], depth), path
    print(path.name, repr(feature["properties"]["name"]), geometry.geom_type, geometry.length)
for path in sorted(folder.glob("*.polygon.json")):
    geometry = shape(json.loads(path.read_text()))
    assert geometry.is_valid, path
    for polygon in getattr(geometry, "geoms", [geometry]):
        assert polygon.exterior.is_ccw and not any(h.is_ccw for h in polygon.interiors), path
    print(path.name, geometry.geom_type, geometry.area)
