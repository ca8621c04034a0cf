"""Two levels between reservoirs [W]: quantum dots, cavities, lasers, Bloch gain, drives."""
