import Geography
import Testing

@Suite struct BoundingBoxTests {
    @Test(
        arguments: [lisbon, Place(0, 180), Place(-17, -179.99), Place(89.99, 5), Place(-90, 0), Place(80, 179)],
        [1.0, 300, 20_000, 1_200_000, 8_000_000])
    func `The box of a circle contains the circle`(center: Place, radius: Double) {
        let box = BoundingBox(center: center, radius: radius)
        #expect(box.contains(center))
        for bearing in 0..<360 {
            #expect(box.contains(center.destination(distance: radius, bearing: Double(bearing))))
        }
    }

    @Test func `The box of a circle is tight`() {
        let box = BoundingBox(center: lisbon, radius: 1000)
        for bearing in [0.0, 90, 180, 270] {
            #expect(!box.contains(lisbon.destination(distance: 1001, bearing: bearing)))
        }
    }

    @Test func `A box across the antimeridian has both sides and not the rest of the Earth`() {
        let box = BoundingBox(center: Place(-17, 179.99), radius: 5000)
        #expect(box.crossesAntimeridian)
        #expect(box.contains(Place(-17, 180)))
        #expect(box.contains(Place(-17, -180)))
        #expect(box.contains(Place(-17, -179.98)))
        #expect(!box.contains(Place(-17, 0)))
        #expect(!box.contains(Place(-17, 179.9)))
    }

    @Test func `A box that ends at the antimeridian contains both of its names`() {
        let box = BoundingBox(southWest: Place(0, 170), northEast: Place(1, 180))
        #expect(box.contains(Place(0.5, -180)))
        #expect(!box.contains(Place(0.5, -179)))
    }

    @Test func `A circle with a pole has all longitudes`() {
        let box = BoundingBox(center: Place(89.9, 10), radius: 20_000)
        #expect(box.contains(Place(89.95, -170)))
        #expect(box.contains(Place(90, 55)))
        #expect(!box.contains(Place(89, 10)))
    }

    @Test func `Absurd radii are limited`() {
        #expect(BoundingBox(center: lisbon, radius: .infinity).contains(Place(-90, 0)))
        #expect(BoundingBox(center: lisbon, radius: 1e300).contains(Place(-38, 170)))
        #expect(!BoundingBox(center: lisbon, radius: .nan).contains(Place(38.8, -9.1364)))
        #expect(!BoundingBox(center: lisbon, radius: -1).contains(Place(38.8, -9.1364)))
    }
}
