"""Writes the fixtures of the tests. See README.md."""

import json
import math
import random
import sys
from pathlib import Path

import gpxpy
import shapely
from geographiclib.geodesic import Geodesic
from shapely.geometry import LineString, Point, Polygon, box

RADIUS = 6371008.7714
SPHERE = Geodesic(RADIUS, 0)
WGS84 = Geodesic.WGS84
FIXTURES = Path(__file__).parent.parent / "Tests/Fixtures"

rng = random.Random(20201218)


def write(name, value):
    text = json.dumps(value, separators=(",", ":"))
    # One case per line keeps differences readable.
    text = text.replace("},{", "},\n{")
    (FIXTURES / f"{name}.json").write_text(text + "\n")
    print(f"{name}: {len(text)} bytes")


def anywhere():
    return math.degrees(math.asin(rng.uniform(-1, 1))), rng.uniform(-180, 180)


def great_circles():
    pairs = [(anywhere(), anywhere()) for _ in range(120)]
    for _ in range(120):  # Near each other, as in a city.
        lat, lon = anywhere()
        line = SPHERE.Direct(lat, lon, rng.uniform(0, 360), 10 ** rng.uniform(-1, 5))
        pairs.append(((lat, lon), (line["lat2"], line["lon2"])))
    pairs += [
        ((0, 179.999), (0, -179.999)), ((65, 180), (65, -180)), ((90, 0), (90, 120)), ((89.999, 10), (89.999, -170)),
        ((-90, 0), (90, 0)), ((0, 0), (0, 0)), ((10, 20), (-10, -160)), ((-17, 179.9), (-16, -179.8)),
    ]
    cases = []
    for (lat1, lon1), (lat2, lon2) in pairs:
        inverse = SPHERE.Inverse(lat1, lon1, lat2, lon2)
        fraction = round(rng.uniform(0, 1), 3)
        middle = SPHERE.Direct(lat1, lon1, inverse["azi1"], inverse["s12"] * fraction)
        cases.append({
            "from": [lat1, lon1], "to": [lat2, lon2], "distance": inverse["s12"], "bearing": inverse["azi1"] % 360,
            "wgs84": WGS84.Inverse(lat1, lon1, lat2, lon2)["s12"], "fraction": fraction,
            "middle": [middle["lat2"], middle["lon2"]],
        })
    write("great-circles", cases)

    cases = []
    for _ in range(120):
        lat, lon = anywhere()
        bearing, distance = rng.uniform(0, 360), 10 ** rng.uniform(0, 7.3)
        end = SPHERE.Direct(lat, lon, bearing, distance)
        cases.append({
            "from": [lat, lon], "bearing": bearing, "distance": distance, "to": [end["lat2"], end["lon2"]]})
    write("destinations", cases)


def print_errors():
    """The errors of the sphere against the ellipsoid, over far more pairs than the fixtures have."""
    for name, far in (("anywhere", None), ("up to 50 km", 50e3), ("up to 1,000 km", 1000e3)):
        worst, angle, total = [0, 0], 0, 0
        for _ in range(20000):
            lat1, lon1 = anywhere()
            if far:
                end = WGS84.Direct(lat1, lon1, rng.uniform(0, 360), rng.uniform(100, far))
                lat2, lon2 = end["lat2"], end["lon2"]
            else:
                lat2, lon2 = anywhere()
            a, b = SPHERE.Inverse(lat1, lon1, lat2, lon2), WGS84.Inverse(lat1, lon1, lat2, lon2)
            error = a["s12"] / b["s12"] - 1
            worst = [min(worst[0], error), max(worst[1], error)]
            total += abs(error)
            if abs(lat1) < 85 and abs(lat2) < 85:
                angle = max(angle, abs((a["azi1"] - b["azi1"] + 180) % 360 - 180))
        print(f"{name}: distances {worst[0]:+.3%} to {worst[1]:+.3%}, mean {total / 20000:.3%}; bearings {angle:.3f}°")


def star(lat, lon, size, count):
    """A ring that does not cross itself, counter-clockwise, around a centre. x is the longitude."""
    angles = sorted(rng.uniform(0, 2 * math.pi) for _ in range(count))
    return [
        (lon + size * rng.uniform(0.3, 1) * math.cos(angle), lat + size * rng.uniform(0.3, 1) * math.sin(angle))
        for angle in angles
    ]


def wrapped(x):
    return x if -180 <= x <= 180 else (x + 180) % 360 - 180


def ring(points):
    return [[wrapped(x), y] for x, y in points]


def polygons():
    cases = []
    centers = [(38.7, -9.1, 0.05), (60, 25, 1), (-17, 180, 0.5), (52, -179.9, 2), (0, 0, 10), (70, 179.95, 0.2)]
    while len(cases) < 24:
        lat, lon, size = centers[len(cases) % len(centers)]
        outer = star(lat, lon, size, rng.randint(3, 16))
        holes = [star(lat, lon, size * 0.2, 5)] if len(cases) % 2 else []
        polygon = Polygon(outer, holes)
        if not polygon.is_valid:
            continue
        points = []
        for _ in range(24):
            points.append((lon + rng.uniform(-1.2, 1.2) * size, lat + rng.uniform(-1.2, 1.2) * size))
        for _ in range(12):  # Near an edge, on either side.
            edges = list(zip(outer, outer[1:] + outer[:1])) + [e for h in holes for e in zip(h, h[1:] + h[:1])]
            (x1, y1), (x2, y2) = rng.choice(edges)
            t, offset = rng.uniform(0, 1), rng.choice([-1, 1]) * 10 ** rng.uniform(-9, -4)
            length = math.hypot(x2 - x1, y2 - y1)
            points.append((
                x1 + (x2 - x1) * t - (y2 - y1) / length * offset, y1 + (y2 - y1) * t + (x2 - x1) / length * offset))
        points += outer  # Vertices are on the border.
        ways = []
        for _ in range(12):
            ends = [(lon + rng.uniform(-1.5, 1.5) * size, lat + rng.uniform(-1.5, 1.5) * size) for _ in range(2)]
            inside = LineString(ends).intersection(polygon)
            parts = [p for p in getattr(inside, "geoms", [inside]) if p.geom_type == "LineString" and not p.is_empty]
            start, length = Point(ends[0]), LineString(ends).length
            stretches = sorted(sorted(start.distance(Point(c)) / length for c in p.coords) for p in parts)
            ways.append({"ends": ring(ends), "stretches": [[s[0], s[-1]] for s in stretches]})
        cut = [polygon.intersection(box(180 - 360 * k - 360, -90, 180 - 360 * k, 90)) for k in (-1, 0, 1)]
        parts = [p for c in cut for p in getattr(c, "geoms", [c]) if not p.is_empty and p.area > 0]
        cases.append({
            "outer": ring(outer), "holes": [ring(h) for h in holes],
            "points": [{"at": [wrapped(x), y], "covers": polygon.covers(Point(x, y))} for x, y in points],
            "ways": ways, "parts": sorted(p.area for p in parts),
        })
    write("polygons", cases)


def validity():
    cases = []
    while len(cases) < 60:
        points = [(round(rng.uniform(0, 4)), round(rng.uniform(0, 4))) for _ in range(rng.randint(3, 6))]
        polygon = Polygon(points)
        # A spike of zero width is valid for no one; shapely's reason is in the fixture for the reader.
        cases.append({
            "outer": ring(points), "isValid": polygon.is_valid,
            "reason": shapely.is_valid_reason(polygon)})
    write("validity", cases)


def border_distances():
    """Distances from a corridor's line, on the sphere: the least of those to many points of the line."""
    cases = []
    for _ in range(40):
        lat, lon = rng.uniform(-75, 75), rng.choice([-9.1, 179.99, 25])
        size = 10 ** rng.uniform(-2.5, -0.5)
        line = [(lon + rng.uniform(-1, 1) * size, lat + rng.uniform(-1, 1) * size) for _ in range(3)]
        x, y = lon + rng.uniform(-1, 1) * size, lat + rng.uniform(-1, 1) * size
        least = math.inf
        for (x1, y1), (x2, y2) in zip(line, line[1:]):
            low, high = 0.0, 1.0
            distance = lambda t: SPHERE.Inverse(y, x, y1 + (y2 - y1) * t, x1 + (x2 - x1) * t)["s12"]
            for _ in range(60):
                third = (high - low) / 3
                if distance(low + third) < distance(high - third):
                    high -= third
                else:
                    low += third
            least = min(least, distance(low))
        cases.append({"line": ring(line), "at": [wrapped(x), y], "distance": least})
    write("border-distances", cases)


def nearest():
    groups = []
    for lat, lon, size in [(38.7, -9.1, 0.2), (-17, 180, 0.3), (89.9, 0, 0.3), (0, 0, 40)]:
        if lat > 89:
            places = [(rng.uniform(89.5, 90), rng.uniform(-180, 180)) for _ in range(150)]
            centers = [(90, 0), (89.99, 175), (89.9, -20)]
        else:
            places = [(lat + rng.uniform(-size, size), wrapped(lon + rng.uniform(-size, size))) for _ in range(150)]
            centers = [(lat + rng.uniform(-size, size), wrapped(lon + rng.uniform(-size, size))) for _ in range(3)]
        searches = []
        for center in centers:
            distances = sorted((SPHERE.Inverse(*center, *p)["s12"], i) for i, p in enumerate(places))
            searches.append({"from": center, "nearest": [i for _, i in distances[:12]]})
        groups.append({"places": places, "searches": searches})
    write("nearest", groups)


def drive(path):
    track = gpxpy.parse(open(path))
    points = [p for t in track.tracks for s in t.segments for p in s.points]
    write("drive", [
        {"at": [p.latitude, p.longitude], "second": (p.time - points[0].time).total_seconds()} for p in points])


FIXTURES.mkdir(parents=True, exist_ok=True)
great_circles()
polygons()
validity()
border_distances()
nearest()
drive(sys.argv[1])
print_errors()
